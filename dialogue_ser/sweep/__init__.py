"""W&B-format sweeps."""
