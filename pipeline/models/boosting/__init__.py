"""Gradient boosting on numbers counted of a row: scikit-learn's histogram trees, no torch."""
