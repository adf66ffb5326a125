"""Layers over graphs of turns: on torch-geometric's MessagePassing, or dense where that is faster."""
