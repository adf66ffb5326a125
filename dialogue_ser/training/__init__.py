"""Epochs, checkpoints, tracking."""
