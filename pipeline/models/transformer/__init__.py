"""The fine-tuned learner: backbone, head, loss, optimiser, and one fold of Lightning training."""
