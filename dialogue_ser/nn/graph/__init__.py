"""Layers over graphs of turns, written on the MessagePassing of torch-geometric."""
