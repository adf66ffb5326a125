"""Counts over a split: the numbers that `dialogue-ser data describe` prints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from dialogue_ser.corpus.schema import Dialogue, utterances


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSpread:
    """Mean, deviation and range of the values that one dimension has in a split.

    Args:
        n: number of turns that have a value.
        mean: mean of the values, on the corpus's own scale.
        std: standard deviation around that mean (divided by n).
        smallest: smallest value.
        largest: largest value.

    >>> found = ValueSpread.of([1.0, 3.0])
    >>> found.n, found.mean, found.std, found.smallest, found.largest
    (2, 2.0, 1.0, 1.0, 3.0)
    """

    n: int
    mean: float
    std: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "ValueSpread":
        """Compute the spread of some values (at least one)."""
        return cls(n=len(values), mean=fmean(values), std=pstdev(values), smallest=min(values), largest=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """Counts over one split.

    Args:
        dialogues: number of dialogues.
        turns: number of utterances.
        labels: class → number of turns; unlabelled turns are not counted here.
        targets: dimension → spread of its values; a dimension without values is missing here.
        with_targets: number of turns with at least one target.
        speakers: speaker → number of turns, most frequent first.
        dialogue_turns: number of turns of each dialogue, ascending.
        longest: id of the longest dialogue.
        words: number of words (separated by blanks) of each turn that has a text, ascending.
        with_text: number of turns with a text.
        with_audio: number of turns with an audio reference.
        most_speakers: largest number of speakers in a dialogue.
    """

    dialogues: int
    turns: int
    labels: Mapping[str, int]
    targets: Mapping[str, ValueSpread]
    with_targets: int
    speakers: Mapping[str, int]
    dialogue_turns: tuple[int, ...]
    longest: str
    words: tuple[int, ...]
    with_text: int
    with_audio: int
    most_speakers: int


def count_split(dialogues: Sequence[Dialogue]) -> SplitCounts:
    """Count what one split (at least one dialogue) holds."""
    turns = list(utterances(dialogues))
    speakers = Counter(turn.speaker for turn in turns)
    values: dict[str, list[float]] = {}
    for turn in turns:
        for name, value in turn.targets.items():
            values.setdefault(name, []).append(value)
    words = sorted(len(turn.text.split()) for turn in turns if turn.text)
    return SplitCounts(
        dialogues=len(dialogues),
        turns=len(turns),
        labels=Counter(turn.label for turn in turns if turn.label is not None),
        targets={name: ValueSpread.of(found) for name, found in values.items()},
        with_targets=sum(bool(turn.targets) for turn in turns),
        speakers=dict(sorted(speakers.items(), key=lambda item: (-item[1], item[0]))),
        dialogue_turns=tuple(sorted(map(len, dialogues))),
        longest=max(dialogues, key=len).id,
        words=tuple(words),
        with_text=len(words),
        with_audio=sum(turn.audio is not None for turn in turns),
        most_speakers=max(len(dialogue.speakers) for dialogue in dialogues),
    )


def min_median_max(values: Sequence[int]) -> str:
    """Return the smallest, the median and the largest of some numbers as one text.

    >>> min_median_max([1, 2, 2, 9]), min_median_max([])
    ('1 / 2 / 9', '–')
    """
    return f"{min(values)} / {median(values):g} / {max(values)}" if values else "–"


def histogram(values: Sequence[int], bins: int = 8) -> list[tuple[str, int]]:
    """Count how many values lie in each of some equally wide ranges of whole numbers, from 1 to the largest value.

    >>> histogram([1, 1, 2, 3, 6], bins=3)
    [('1–2', 3), ('3–4', 1), ('5–6', 1)]
    """
    if not values:
        return []
    width = max(1, -(-max(values) // bins))
    counts = Counter((value - 1) // width for value in values)
    name = str if width == 1 else lambda first: f"{first}–{first + width - 1}"
    return [(name(number * width + 1), counts[number]) for number in range(max(counts) + 1)]
