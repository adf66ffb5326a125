"""Parts of the turns worth a score of their own: emotion shifts, positions, dialogue lengths, speakers."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dialogue_ser.metrics.confusion import IntArray

Names = npt.NDArray[np.object_]

SHIFTS = ("shifted", "stayed", "first turn of speaker")
POSITION_EDGES = (1, 2, 4, 7, 11)
LENGTH_EDGES = (1, 2, 5, 9, 14)


def emotion_shift(gold_N: IntArray, dialogue_N: IntArray, speaker_N: Sequence[object]) -> Names:
    """Whether the speaker's emotion changed since the same speaker's previous labelled turn of the dialogue.

    Args:
        gold_N: class indices, negative where unlabelled; turns of a dialogue in spoken order.
        dialogue_N: dialogue number of every turn.
        speaker_N: who speaks.

    Returns:
        one of SHIFTS per turn; ``""`` on unlabelled turns.

    >>> emotion_shift(np.array([0, 1, 0, 0]), np.zeros(4, dtype=np.int64), ["Ross", "Joey", "Ross", "Joey"]).tolist()
    ['first turn of speaker', 'first turn of speaker', 'stayed', 'shifted']
    """
    previous: dict[tuple[int, object], int] = {}
    names: list[str] = []
    for gold, dialogue, speaker in zip(gold_N.tolist(), dialogue_N.tolist(), speaker_N, strict=True):
        if gold < 0:
            names.append("")
            continue
        before = previous.get((dialogue, speaker))
        previous[dialogue, speaker] = gold
        names.append(SHIFTS[2] if before is None else SHIFTS[0] if before != gold else SHIFTS[1])
    return np.array(names, dtype=object)


def turn_positions(dialogue_N: IntArray) -> IntArray:
    """Position of every turn in its dialogue, from 1, counted in the order given (so gaps in ids do not matter).

    >>> turn_positions(np.array([0, 0, 1, 0])).tolist()
    [1, 2, 1, 3]
    """
    seen: dict[int, int] = {}
    positions = np.empty_like(dialogue_N)
    for i, dialogue in enumerate(dialogue_N.tolist()):
        positions[i] = seen[dialogue] = seen.get(dialogue, 0) + 1
    return positions


def dialogue_lengths(dialogue_N: IntArray) -> IntArray:
    """Turns of the dialogue that each turn belongs to.

    >>> dialogue_lengths(np.array([0, 0, 1])).tolist()
    [2, 2, 1]
    """
    return np.bincount(dialogue_N)[dialogue_N].astype(np.int64) if dialogue_N.size else dialogue_N


def bin_names(edges: Sequence[int]) -> tuple[str, ...]:
    """Names of bins that start at the given numbers; the last one is open.

    >>> bin_names((1, 2, 4, 7))
    ('1', '2–3', '4–6', '7+')
    """
    closed = [f"{low}" if high - low == 1 else f"{low}–{high - 1}" for low, high in pairwise(edges)]
    return (*closed, f"{edges[-1]}+")


def binned(values_N: IntArray, edges: Sequence[int]) -> Names:
    """Bin name of every value (values below the first edge fall into the first bin)."""
    names = np.array(bin_names(edges), dtype=object)
    which = np.clip(np.searchsorted(np.asarray(edges), values_N, side="right") - 1, 0, len(edges) - 1)
    result: Names = names[which]
    return result
