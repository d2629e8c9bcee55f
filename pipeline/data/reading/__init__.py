"""Bytes come in; rows of text that say what the file says go out."""
