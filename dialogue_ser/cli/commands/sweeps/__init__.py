"""Commands about sweeps of Weights & Biases."""
