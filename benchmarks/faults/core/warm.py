"""Imported once by the process that all cases are forked from."""

from importlib import import_module

import torch

from benchmarks.faults.core.isolation import IMPORTED

for _name in IMPORTED:
    import_module(_name)
torch.set_num_threads(1)
