"""Predictions in, submission out: numpy, scipy and scikit-learn only, never torch."""
