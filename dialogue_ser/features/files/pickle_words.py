"""Compare rows of a pickle with turns of a corpus: by their words, their order and their labels."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.text.word_tokenizer import ascii_quotes

#: Labels of a pickle are used if they stand for one label of the corpus in at least this share of all rows …
_SHARE_OF_LABELS = 0.9
#: … and this one label in at least this share of its own rows, and in at least two.
_SHARE_OF_ONE_LABEL, _LEAST_ROWS_OF_ONE_LABEL = 0.75, 2
#: Two different dialogues of more turns than this, multiplied, are not compared: the memory grows with this number.
_MOST_CELLS = 4_000_000


def monotone_pairs(weights_NM: NDArray[np.int64]) -> tuple[int, dict[int, int]]:
    """Return the best pairing that keeps both orders: its weight, and the pairs that every best pairing has.

    Args:
        weights_NM: weight of pairing item n of the first sequence with item m of the second; 0 = no pair.

    >>> monotone_pairs(np.array([[1, 0, 1], [0, 1, 0]]))  # the first item also fits the third, but not in order
    (2, {0: 0, 1: 1})
    >>> monotone_pairs(np.array([[1, 1]]))  # one item, two places
    (1, {})
    """
    n_first, n_second = weights_NM.shape
    before, after = _best_before(weights_NM), _best_before(weights_NM[::-1, ::-1])[::-1, ::-1]
    best = int(before[-1, -1])
    is_best_NM = (weights_NM > 0) & (before[:-1, :-1] + weights_NM + after[1:, 1:] == best)
    can_be_left_out_N = (before[:-1, :] + after[1:, :] == best).any(axis=1)
    certain = np.flatnonzero((is_best_NM.sum(axis=1) == 1) & ~can_be_left_out_N)
    return best, {int(n): int(is_best_NM[n].argmax()) for n in certain} if n_first and n_second else {}


def _best_before(weights_NM: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``[N+1, M+1]``: the weight of the best pairing of the first n and the first m items."""
    best = np.zeros((weights_NM.shape[0] + 1, weights_NM.shape[1] + 1), np.int64)
    for n, weights_M in enumerate(weights_NM):
        best[n + 1, 1:] = np.maximum.accumulate(np.maximum(best[n, 1:], best[n, :-1] + weights_M))
    return best


@dataclass(frozen=True)
class Labels:
    """What the labels of a pickle stand for in the corpus.

    Args:
        meaning: label of the pickle → label of the corpus. A label without a clear meaning is left out.
    """

    meaning: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def learnt(cls, pairs: Iterable[tuple[PickledTurn, Utterance]]) -> "Labels":
        """Return what labels stand for, from rows whose utterance is known; nothing if the two do not agree."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for row, turn in pairs:
            if row.label is not None and turn.label is not None:
                counts[row.label][turn.label] += 1
        commonest = {label: count.most_common(1)[0] for label, count in counts.items()}
        n_rows = sum(count.total() for count in counts.values())
        if sum(n for _, n in commonest.values()) < _SHARE_OF_LABELS * n_rows:
            return cls()
        return cls(
            {
                label: meaning
                for label, (meaning, n) in commonest.items()
                if n >= max(_LEAST_ROWS_OF_ONE_LABEL, _SHARE_OF_ONE_LABEL * counts[label].total())
            }
        )

    def contradict(self, row: PickledTurn, turn: Utterance) -> bool:
        """Return whether a row cannot belong to an utterance because of its label."""
        meaning = None if row.label is None else self.meaning.get(row.label)
        return meaning is not None and turn.label is not None and meaning != turn.label


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a dialogue, of the pickle or of the corpus, in a form that can be compared.

    Args:
        keys: one text per turn without case and signs; None = the turn has no text.
    """

    keys: tuple[str | None, ...]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> "Words":
        """Return the words of texts."""
        return cls(tuple(None if text is None else comparable(text) for text in texts))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Compares dialogues of a pickle with dialogues of a corpus.

    Args:
        labels: what labels stand for. A pair of a row and a turn whose labels contradict each other is no pair.
    """

    labels: Labels

    def n_equal(self, rows: Sequence[PickledTurn], its: Words, dialogue: Dialogue, words: Words) -> int:
        """Return how many rows can be paired with turns that have the same words, in order."""
        if not set(its.keys) & set(words.keys) - {None}:
            return 0
        if its.keys == words.keys or len(rows) * len(dialogue) > _MOST_CELLS:
            return len(self.pairs(rows, its, dialogue, words))
        return int(_best_before(self._is_pair(rows, its, dialogue, words))[-1, -1])

    def pairs(self, rows: Sequence[PickledTurn], its: Words, dialogue: Dialogue, words: Words) -> dict[int, int]:
        """Return index of a row → index of its turn, for rows that have only one place.

        If both have the same number of turns, nothing was left out, so every row is at its own place.
        """
        if its.keys == words.keys:
            both = enumerate(zip(rows, its.keys, dialogue, strict=True))
            return {n: n for n, (row, key, turn) in both if key is not None and not self.labels.contradict(row, turn)}
        if len(rows) * len(dialogue) > _MOST_CELLS:
            return {}
        is_pair = self._is_pair(rows, its, dialogue, words)
        best, certain = monotone_pairs(is_pair)
        if len(rows) == len(dialogue) and int(is_pair.trace()) == best:
            return {int(n): int(n) for n in np.flatnonzero(is_pair.diagonal())}
        return certain

    def _is_pair(self, rows: Sequence[PickledTurn], its: Words, dialogue: Dialogue, words: Words) -> NDArray[np.int64]:
        """Return ``[rows, turns]``: 1 where words are equal and labels do not contradict each other, else 0."""
        is_pair = np.zeros((len(rows), len(dialogue)), np.int64)
        places = defaultdict(list)
        for m, key in enumerate(words.keys):
            places[key].append(m)
        for n, (row, key) in enumerate(zip(rows, its.keys, strict=True)):
            for m in places[key] if key is not None else ():
                is_pair[n, m] = not self.labels.contradict(row, dialogue.utterances[m])
        return is_pair


def comparable(text: str) -> str:
    """Return a text without case, spaces and signs, because pickles and tables write them differently.

    Letters with accents are left out too, because old pickles often hold them in a wrong encoding. Other scripts stay.

    >>> comparable("It\\u2019s a caf\\u00e9 \\u2026"), comparable("?!"), comparable("\\u597d\\u7684\\u3002")
    ('itsacaf', '?!', '\\u597d\\u7684')
    """
    text = unicodedata.normalize("NFC", ascii_quotes(text)).casefold()
    if any(ord(letter) > 0x24F and letter.isalpha() for letter in text):
        return re.sub(r"[\W_]+", "", text)
    return re.sub(r"[^0-9a-z]+", "", text) or text.strip()
