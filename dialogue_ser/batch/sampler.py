"""Which dialogues form a batch: an order that depends on (seed, epoch) alone, so any step can be found again."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

WINDOW = 8
"""Batches that :func:`bucketed` sorts among themselves. On MELD eight give nine tenths of the steps that sorting the
whole epoch would save, and in every epoch a dialogue still meets others."""


def shuffled(n_dialogues: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on nothing but its arguments.

    >>> sorted(shuffled(5, seed=1, epoch=0)) == list(range(5)), shuffled(5, 1, 0) == shuffled(5, 1, 0)
    (True, True)
    >>> shuffled(50, seed=1, epoch=0) == shuffled(50, seed=1, epoch=1)
    False
    """
    order: list[int] = np.random.default_rng([seed, epoch]).permutation(n_dialogues).tolist()
    return order


def bucketed(lengths: Sequence[int], batch_size: int, seed: int, epoch: int, window: int = WINDOW) -> list[int]:
    """A permutation whose consecutive pieces of ``batch_size`` hold dialogues of like length; also a pure function.

    All dialogues are shuffled and cut into windows of about ``window`` batches, each window is sorted by length and cut
    into batches, and the batches are shuffled. Where ``batch_size`` does not divide the dialogues, the smaller batch
    comes last, as it does in :func:`shuffled`; its lengths are drawn too, or it would always have the longest.

    Args:
        lengths: turns of every dialogue.
        batch_size: dialogues per batch, over all ranks.
        seed: of the run.
        epoch: under way.
        window: batches sorted among themselves: more pad less and repeat themselves more from epoch to epoch.

    >>> sorted(sorted(batch) for batch in batches(bucketed([1, 9, 1, 9], 2, seed=1, epoch=0), 2))
    [[0, 2], [1, 3]]
    """
    rng = np.random.default_rng([seed, epoch])
    order, lengths_N = rng.permutation(len(lengths)), np.asarray(lengths, dtype=np.int64)
    n_whole = len(order) // batch_size
    ends = batch_size * np.linspace(0, n_whole, max(1, round(n_whole / window)) + 1).astype(np.int64)
    ends[-1] = len(order)  # the last window also has what makes no whole batch
    whole, rest = [], order[:0]
    for start, end in pairwise(ends.tolist()):
        members = order[start:end]
        # a stable sort leaves dialogues of one length in their random order
        members = members[np.argsort(lengths_N[members], kind="stable")]
        n_batches, n_rest = divmod(len(members), batch_size)
        first = batch_size * int(rng.integers(n_batches + 1))
        rest = members[first : first + n_rest]
        whole.append(np.delete(members, slice(first, first + n_rest)))
    batches_NB = np.concatenate(whole).reshape(n_whole, batch_size)
    found: list[int] = np.concatenate([batches_NB[rng.permutation(n_whole)].reshape(-1), rest]).tolist()
    return found


def batches(order: Sequence[int], batch_size: int) -> list[list[int]]:
    """Consecutive pieces of an order; the last may be smaller, none is dropped.

    >>> batches([4, 2, 0, 1, 3], 2)
    [[4, 2], [0, 1], [3]]
    """
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
