"""The mirror: a process beside the training that sends what a run writes to Weights & Biases (W&B)."""
