"""One step of a GRU cell, its gradient, and the Triton kernels that compute both on a GPU."""
