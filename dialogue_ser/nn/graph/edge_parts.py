"""Many edges are computed in parts, so that memory grows with their number and not with edges times features."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

#: Largest number of edges whose features are in memory together (26 MB for 100 features in single precision).
MOST_EDGES = 2**16


def edge_parts(function: Callable[..., Tensor], n_edges: int, *tensors: Tensor) -> list[Tensor]:
    """Results of ``function(first, end, *tensors)`` for parts of the edges; backward computes each part again.

    Few edges are one part, and nothing is computed again.

    Args:
        function: computes something of the edges from ``first`` to before ``end``.
        n_edges: number of edges.
        tensors: what it reads.
    """
    if n_edges <= MOST_EDGES:
        return [function(0, n_edges, *tensors)]
    parts = [(first, min(first + MOST_EDGES, n_edges)) for first in range(0, n_edges, MOST_EDGES)]
    if not torch.is_grad_enabled():
        return [function(*part, *tensors) for part in parts]
    return [checkpoint(function, *part, *tensors, use_reentrant=False, preserve_rng_state=False) for part in parts]
