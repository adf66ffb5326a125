"""Files that a run leaves on disk: its configuration and environment, checkpoints, metrics and predictions."""
