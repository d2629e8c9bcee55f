"""Lightning's Trainer as a fold uses it, and its checkpoints."""
