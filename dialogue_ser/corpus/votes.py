"""Turn the choices of annotators into the label and the votes of a turn, with several policies for ties."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from dialogue_ser.corpus.label_maps import UNDECIDED, LabelMap

#: What happens to a turn without a majority.
#: ``unlabelled``: it gets no label. Publications that count 5,531 turns of four classes in IEMOCAP do the same.
#: ``recount``: the votes are counted again after the label set has merged classes (one vote each for happy, excited and
#: neutral: happy gets two). The class with most votes is the label. If there still is a tie, there is no label.
#: ``first``: like recount, but a tie goes to the tied class that an annotator named first.
#: ``soft``: it gets no label and is never scored. Its votes stay, to train on soft labels (``loss.soft_labels``).
Ties = Literal["unlabelled", "recount", "first", "soft"]


def count_votes(choices: Sequence[Sequence[str]], label_map: LabelMap) -> dict[str, float]:
    """Count the annotators who chose each class, after the label map. Classes outside the set keep their own name.

    An annotator who names several classes votes once for each of them. IEMOCAP counts its own majority like this.

    >>> merged = LabelMap(classes=("happy", "sad"), merge={"excited": "happy"})
    >>> count_votes([["happy", "excited"], ["anger"], ["excited", "sad"]], merged)
    {'happy': 2.0, 'anger': 1.0, 'sad': 1.0}
    """
    votes: Counter[str] = Counter()
    for named in choices:
        votes.update(dict.fromkeys((label_map.class_of(label) or label for label in named), 1))
    return {label: float(count) for label, count in votes.items()}


def decide_label(
    majority: str | None, choices: Sequence[Sequence[str]], label_map: LabelMap, ties: Ties
) -> tuple[str | None, dict[str, float] | None]:
    """Return the label and the votes of a turn. Both are None if no class of the label set fits the turn.

    Args:
        majority: the class that the corpus states, which is never changed; None = the corpus states that there is no
            majority.
        choices: the classes that each annotator named, as the corpus calls them.
        label_map: the map from the corpus's classes to the label set.
        ties: policy for turns without a majority.

    Returns:
        The label, or None. Then the votes for the classes of the set, or None if there are no votes or they must not be
        used. If the set has the class UNDECIDED, a turn without a majority that gets no label has this class.
    """
    counts = count_votes(choices, label_map)
    votes = {label: count for label, count in counts.items() if label in label_map.classes}
    label = label_map.class_of(majority)
    if majority is None:
        # The first class is the one that was named first, because a Counter keeps that order.
        best = [name for name, count in counts.items() if count == max(counts.values())]
        if best and (ties == "first" or (ties == "recount" and len(best) == 1)):
            label = best[0] if best[0] in label_map.classes else None
        if label is None and UNDECIDED in label_map.classes:
            return UNDECIDED, None
        if ties == "soft":  # if a tied class is outside the set, the votes that remain would look like a majority
            return None, votes if best and set(best) <= set(label_map.classes) else None
    return label, votes if label is not None and votes else None
