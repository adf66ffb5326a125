"""Which dialogues form a batch: an order that depends on (seed, epoch) alone, so any step can be found again."""

from collections.abc import Sequence

import numpy as np


def shuffled(n_dialogues: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on nothing but its arguments.

    >>> sorted(shuffled(5, seed=1, epoch=0)) == list(range(5)), shuffled(5, 1, 0) == shuffled(5, 1, 0)
    (True, True)
    >>> shuffled(50, seed=1, epoch=0) == shuffled(50, seed=1, epoch=1)
    False
    """
    order: list[int] = np.random.default_rng([seed, epoch]).permutation(n_dialogues).tolist()
    return order


def batches(order: Sequence[int], batch_size: int) -> list[list[int]]:
    """Consecutive pieces of an order; the last may be smaller, none is dropped.

    >>> batches([4, 2, 0, 1, 3], 2)
    [[4, 2], [0, 1], [3]]
    """
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
