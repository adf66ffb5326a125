"""Scores of predicted classes: weighted F1, accuracy (WA), UA/UAR, macro F1, per class, confusion."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import IntArray, class_values, confusion_matrix, encode
from dialogue_ser.metrics.table import METRICS

#: The metrics that :class:`Scores` has as fields.
FIELDS = ("weighted_f1", "accuracy", "uar", "macro_f1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """One class's share of the scores.

    Args:
        precision: right among predicted; 0 where the class is never predicted.
        recall: right among gold; 0 where the class never occurs.
        f1: harmonic mean of both; 0 where both are 0.
        support: gold turns of the class.
        predicted: turns predicted as the class.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores of one set of turns.

    Args:
        labels: classes, in the LabelSet's order.
        n: labelled turns that were scored.
        weighted_f1: F1 averaged over classes with their gold support as weight: the headline.
        accuracy: right turns / turns (WA).
        uar: recall averaged over ALL labels, also those that never occur (UA); 0 for an absent class.
        macro_f1: F1 averaged over all labels.
        per_class: label to its precision, recall, F1 and support.
        confusion: turns, row = gold, column = predicted, ``[C, C]``.
    """

    labels: tuple[str, ...]
    n: int
    weighted_f1: float
    accuracy: float
    uar: float
    macro_f1: float
    per_class: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        found = asdict(self)
        del found["labels"]
        return {**found, "confusion": [list(row) for row in self.confusion]}


def from_confusion(confusion: IntArray, labels: Sequence[str]) -> Scores:
    """Scores of one confusion matrix ``[C, C]`` (row = gold).

    Raises:
        DialogueSerError: it holds no turn.
    """
    if not confusion.sum():
        raise DialogueSerError("no labelled turn to score: every gold label is missing; score a labelled split")
    precision, recall, f1 = class_values(confusion)
    values = {name: float(METRICS[name].of_statistic(confusion)) for name in FIELDS}
    per_class = {
        label: ClassScore(
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            support=int(confusion[i].sum()),
            predicted=int(confusion[:, i].sum()),
        )
        for i, label in enumerate(labels)
    }
    rows = tuple(tuple(int(n) for n in row) for row in confusion)
    return Scores(labels=tuple(labels), n=int(confusion.sum()), per_class=per_class, confusion=rows, **values)


def score(gold: Iterable[object], predicted: Iterable[object], labels: Sequence[str]) -> Scores:
    """Scores of N turns given by label name or class index.

    Args:
        gold: ``[N]``; None, NaN or −100 on unlabelled turns, which are left out.
        predicted: ``[N]``.
        labels: all C classes, in the LabelSet's order.

    Raises:
        DialogueSerError: other lengths, unknown labels, a labelled turn without prediction, no labelled turn.

    >>> result = score(["joy", "joy", "anger", None], ["joy", "anger", "anger", "joy"], ["joy", "anger", "fear"])
    >>> round(result.weighted_f1, 4), round(result.uar, 4), result.n
    (0.6667, 0.5, 3)
    """
    gold_N, predicted_N = encode(gold, labels), encode(predicted, labels)
    if gold_N.shape != predicted_N.shape:
        raise DialogueSerError(f"{gold_N.size} gold labels but {predicted_N.size} predictions; give one per turn")
    missing = np.flatnonzero((gold_N >= 0) & (predicted_N < 0))
    if missing.size:
        raise DialogueSerError(
            f"{missing.size} labelled turns have no prediction, first at position {missing[0]}; predict every turn"
        )
    return from_confusion(confusion_matrix(gold_N, predicted_N, len(labels)), labels)
