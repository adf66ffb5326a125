"""Pure functions on arrays: scores, intervals, calibration, slices; and the tables and files they are read from."""
