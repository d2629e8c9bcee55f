"""The built-in competition: sentence pairs of our own, and what made them. See README.md."""
