"""Training steps and folds on one GPU."""
