"""The linear learner: hashed n-grams, ridge or logistic regression, no torch."""
