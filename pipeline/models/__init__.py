"""One fold in, predictions out."""
