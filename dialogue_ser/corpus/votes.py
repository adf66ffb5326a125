"""From what annotators chose to a turn's label and votes: the policies for ties."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from dialogue_ser.corpus.label_maps import UNDECIDED, LabelMap

#: What becomes of a turn without a majority.
#: ``unlabelled``: no label, as those do who count 5,531 turns of four classes in IEMOCAP.
#: ``recount``: the class with most votes once the label set has merged classes (happy, excited, neutral → happy); no
#: label where there still is a tie.
#: ``first``: as recount, and a tie goes to the tied class that was named first, in the order of the annotators.
#: ``soft``: no label, so it is never scored, but the votes stay for training on soft labels (``loss.soft_labels``).
Ties = Literal["unlabelled", "recount", "first", "soft"]


def count_votes(choices: Sequence[Sequence[str]], label_map: LabelMap) -> dict[str, float]:
    """Annotators per class, after the label map; classes outside the set keep their own name.

    Who names several classes votes for each of them once, as in IEMOCAP's own majority.

    >>> merged = LabelMap(classes=("happy", "sad"), merge={"excited": "happy"})
    >>> count_votes([["happy", "excited"], ["anger"], ["excited", "sad"]], merged)
    {'happy': 2.0, 'anger': 1.0, 'sad': 1.0}
    """
    votes: Counter[str] = Counter()
    for named in choices:
        votes.update(dict.fromkeys((label_map.of(label) or label for label in named), 1))
    return {label: float(count) for label, count in votes.items()}


def decide(
    majority: str | None, choices: Sequence[Sequence[str]], label_map: LabelMap, ties: Ties
) -> tuple[str | None, dict[str, float] | None]:
    """Label and votes of a turn; both None where it has no place in the label set.

    Args:
        majority: the class the corpus states, which stands; None = it states that there is none.
        choices: the classes each annotator named, in the corpus's own classes.
        label_map: to the label set.
        ties: policy for turns without a majority.

    Returns:
        The label, or None; and the votes for classes of the set, or None where there are none, or none to be used. In a
        set that has the class UNDECIDED, turns that stay without a label belong to it.
    """
    counts = count_votes(choices, label_map)
    votes = {label: count for label, count in counts.items() if label in label_map.classes}
    label = label_map.of(majority)
    if majority is None:
        # Counts keep the order in which classes were named.
        best = [name for name, count in counts.items() if count == max(counts.values())]
        if best and (ties == "first" or (ties == "recount" and len(best) == 1)):
            label = best[0] if best[0] in label_map.classes else None
        if label is None and UNDECIDED in label_map.classes:
            return UNDECIDED, None
        if ties == "soft":  # a tie with a class outside the set would leave one that nobody agreed on
            return None, votes if best and set(best) <= set(label_map.classes) else None
    return label, votes if label is not None and votes else None
