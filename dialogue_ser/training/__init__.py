"""Training: the configuration of a run, its data, the training loop, and what a run leaves on disk."""
