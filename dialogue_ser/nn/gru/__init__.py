"""One step of a GRU cell, and its kernels."""
