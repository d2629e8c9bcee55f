"""Learners that write texts: an encoder with a decoder, or a decoder alone, and how they decode."""
