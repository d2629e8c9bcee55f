"""Texts come in; token numbers, tokenised once for all folds, in batches go out."""
