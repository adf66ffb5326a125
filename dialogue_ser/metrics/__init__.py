"""Metrics: scores, intervals, calibration and slices as pure functions on arrays, and tables of predictions."""
