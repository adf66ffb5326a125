"""Sweep files that are kept, and what was measured about sweeps."""
