"""Blends of texts come in; what is printed of them goes out."""
