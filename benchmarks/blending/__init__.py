"""Blending: seconds and memory against peers, and the score of every method on real members."""
