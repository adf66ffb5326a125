"""What a run leaves on disk: the run directory, checkpoints, metrics, predictions."""
