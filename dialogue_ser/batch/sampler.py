"""The dialogues of each batch. The order depends on seed and epoch alone, so that any step can be repeated."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

WINDOW = 8
"""Number of batches whose dialogues :func:`bucketed` sorts together. On MELD, eight batches save nine tenths of the
padded steps that sorting the whole epoch would save, and a dialogue still shares its batch with others in every
epoch."""


def shuffled(n_dialogues: int, seed: int, epoch: int) -> list[int]:
    """A random permutation of the dialogues that depends on the arguments alone.

    >>> sorted(shuffled(5, seed=1, epoch=0)) == list(range(5)), shuffled(5, 1, 0) == shuffled(5, 1, 0)
    (True, True)
    >>> shuffled(50, seed=1, epoch=0) == shuffled(50, seed=1, epoch=1)
    False
    """
    order: list[int] = np.random.default_rng([seed, epoch]).permutation(n_dialogues).tolist()
    return order


def bucketed(lengths: Sequence[int], batch_size: int, seed: int, epoch: int, window: int = WINDOW) -> list[int]:
    """A random permutation in which the dialogues of a batch have similar lengths; it depends on the arguments alone.

    All dialogues are shuffled and cut into windows of about ``window`` batches. Each window is sorted by length and cut
    into batches. Then the batches are shuffled. If ``batch_size`` does not divide the number of dialogues, one smaller
    batch comes last, as in :func:`shuffled`. Its place among the lengths is drawn too; otherwise it would always have
    the longest dialogues.

    Args:
        lengths: number of turns of every dialogue.
        batch_size: number of dialogues per batch, over all ranks.
        seed: seed of the run.
        epoch: number of the epoch.
        window: number of batches whose dialogues are sorted together. A larger window needs less padding, but the
            batches of different epochs become more similar.

    >>> sorted(sorted(batch) for batch in batches(bucketed([1, 9, 1, 9], 2, seed=1, epoch=0), 2))
    [[0, 2], [1, 3]]
    """
    rng = np.random.default_rng([seed, epoch])
    order, lengths_N = rng.permutation(len(lengths)), np.asarray(lengths, dtype=np.int64)
    n_whole = len(order) // batch_size
    ends = batch_size * np.linspace(0, n_whole, max(1, round(n_whole / window)) + 1).astype(np.int64)
    ends[-1] = len(order)  # the last window also has the dialogues that do not fill a batch
    whole, rest = [], order[:0]
    for start, end in pairwise(ends.tolist()):
        members = order[start:end]
        # A stable sort keeps dialogues of the same length in their random order.
        members = members[np.argsort(lengths_N[members], kind="stable")]
        n_batches, n_rest = divmod(len(members), batch_size)
        first = batch_size * int(rng.integers(n_batches + 1))
        rest = members[first : first + n_rest]
        whole.append(np.delete(members, slice(first, first + n_rest)))
    batches_NB = np.concatenate(whole).reshape(n_whole, batch_size)
    order_by_batches: list[int] = np.concatenate([batches_NB[rng.permutation(n_whole)].reshape(-1), rest]).tolist()
    return order_by_batches


def batches(order: Sequence[int], batch_size: int) -> list[list[int]]:
    """Cut an order into consecutive batches; the last one may be smaller.

    >>> batches([4, 2, 0, 1, 3], 2)
    [[4, 2], [0, 1], [3]]
    """
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]
