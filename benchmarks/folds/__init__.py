"""Folds: balance against scikit-learn's, and how many near-duplicate sentences are found."""
