"""Frozen embeddings of a backbone under ridge, logistic regression, SVR or nearest neighbours."""
