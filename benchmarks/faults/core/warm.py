"""Imported once by the process that all cases are forked from."""

from importlib import import_module

import torch

from benchmarks.faults.core.isolation import IMPORTED

# The families too: a file that is edited during a campaign does not change the cases that follow.
for _name in (*IMPORTED, "benchmarks.faults.campaign"):
    import_module(_name)
torch.set_num_threads(1)
