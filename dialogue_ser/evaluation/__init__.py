"""Evaluate runs: score them, compare them, choose among them, and cross-validate."""
