"""Slices: parts of the turns that are scored separately, by emotion shift, position, length of dialogue and of turn."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dialogue_ser.metrics.confusion import IntArray

Names = npt.NDArray[np.object_]

SHIFTS = ("shifted", "stayed", "first turn of speaker")
CHANGES = ("changed", "same", "first turn of dialogue")
POSITION_EDGES = (1, 2, 4, 7, 11)
LENGTH_EDGES = (1, 2, 5, 9, 14)
WORD_EDGES = (1, 3, 6, 11, 21)
NO_TEXT = "no text"
# Chinese and Japanese write no spaces between words, so each of their letters counts as a word.
_LETTER_AS_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def emotion_shift(gold_N: IntArray, dialogue_N: IntArray, speaker_N: Sequence[object]) -> Names:
    """Return for every turn whether its emotion differs from the same speaker's previous labelled turn in the dialogue.

    Args:
        gold_N: class indices, negative if a turn is not labelled. Turns of a dialogue are in spoken order.
        dialogue_N: dialogue number of every turn.
        speaker_N: speaker of every turn.

    Returns:
        one of SHIFTS per turn; ``""`` for turns without a label.

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


def emotion_change(gold_N: IntArray, dialogue_N: IntArray) -> Names:
    """Return for every turn whether its emotion differs from the previous labelled turn of the dialogue.

    The previous turn may be one of another speaker.

    Args:
        gold_N: class indices, negative if a turn is not labelled. Turns of a dialogue are in spoken order.
        dialogue_N: dialogue number of every turn.

    Returns:
        one of CHANGES per turn; ``""`` for turns without a label.

    >>> emotion_change(np.array([0, 1, 1, 0]), np.array([0, 0, 0, 1])).tolist()
    ['first turn of dialogue', 'changed', 'same', 'first turn of dialogue']
    """
    as_change = dict(zip(SHIFTS, CHANGES, strict=True))
    shifts = emotion_shift(gold_N, dialogue_N, [""] * len(gold_N))
    return np.array([as_change.get(name, "") for name in shifts], dtype=object)


def turn_words(texts: Sequence[object]) -> Names:
    """Return for every turn the bin of its number of words; NO_TEXT for a text that is missing or has no word.

    >>> turn_words(["I don't know.", None, "…", "我很高兴"]).tolist()
    ['3–5', 'no text', 'no text', '3–5']
    """
    n_words = np.array([_n_words(text) if isinstance(text, str) else 0 for text in texts], dtype=np.int64)
    names = bin_of_each(n_words, WORD_EDGES)
    names[n_words == 0] = NO_TEXT
    return names


def _n_words(text: str) -> int:
    return sum(len(_LETTER_AS_WORD.findall(part)) or any(map(str.isalnum, part)) for part in text.split())


def turn_positions(dialogue_N: IntArray) -> IntArray:
    """Return the position of every turn in its dialogue. Positions begin at 1 and are counted in the given order.

    >>> turn_positions(np.array([0, 0, 1, 0])).tolist()
    [1, 2, 1, 3]
    """
    seen: dict[int, int] = {}
    positions = np.empty_like(dialogue_N)
    for i, dialogue in enumerate(dialogue_N.tolist()):
        positions[i] = seen[dialogue] = seen.get(dialogue, 0) + 1
    return positions


def dialogue_lengths(dialogue_N: IntArray) -> IntArray:
    """Return for every turn the number of turns of its dialogue.

    >>> dialogue_lengths(np.array([0, 0, 1])).tolist()
    [2, 2, 1]
    """
    return np.bincount(dialogue_N)[dialogue_N].astype(np.int64) if dialogue_N.size else dialogue_N


def bin_names(edges: Sequence[int]) -> tuple[str, ...]:
    """Return the names of bins that begin at the given numbers. The last bin has no upper end.

    >>> bin_names((1, 2, 4, 7))
    ('1', '2–3', '4–6', '7+')
    """
    closed = [f"{low}" if high - low == 1 else f"{low}–{high - 1}" for low, high in pairwise(edges)]
    return (*closed, f"{edges[-1]}+")


def bin_of_each(values_N: IntArray, edges: Sequence[int]) -> Names:
    """Return the bin name of every value. Values below the first edge belong to the first bin."""
    names = np.array(bin_names(edges), dtype=object)
    which = np.clip(np.searchsorted(np.asarray(edges), values_N, side="right") - 1, 0, len(edges) - 1)
    result: Names = names[which]
    return result
