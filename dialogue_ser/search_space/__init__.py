"""Sweep files of Weights & Biases and what follows from them without a training: draws, grids, bands, commands."""
