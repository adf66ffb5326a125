"""Scores of predicted classes: weighted F1, accuracy (WA), UAR (UA), macro F1, scores per class, confusion matrix."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import IntArray, class_indices, class_values, confusion_matrix
from dialogue_ser.metrics.table import METRICS

#: The metrics that :class:`Scores` has as fields.
FIELDS = ("weighted_f1", "accuracy", "uar", "macro_f1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """The scores of one class.

    Args:
        precision: share of correct turns among the turns predicted as the class; 0 if it is never predicted.
        recall: share of correct turns among the gold turns of the class; 0 if it never occurs.
        f1: harmonic mean of precision and recall; 0 if both are 0.
        support: number of gold turns of the class.
        predicted: number of turns predicted as the class.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The scores of one set of turns.

    Args:
        labels: classes, in the order of the label set.
        n: number of labelled turns that were scored.
        weighted_f1: mean F1 over classes, weighted by their gold turns. It is the default metric of classification.
        accuracy: share of correct turns (WA).
        uar: mean recall over ALL classes (UA). A class that never occurs counts as 0.
        macro_f1: mean F1 over all classes.
        per_class: class → its precision, recall, F1 and support.
        confusion: number of turns ``[C, C]``, row = gold, column = predicted.
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
        """Return the fields, except ``labels``, as plain JSON values."""
        found = asdict(self)
        del found["labels"]
        return {**found, "confusion": [list(row) for row in self.confusion]}


def scores_from_confusion(confusion: IntArray, labels: Sequence[str]) -> Scores:
    """Return the scores of one confusion matrix ``[C, C]`` (row = gold).

    Raises:
        DialogueSerError: the matrix contains no turn.
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
    """Return the scores of N turns. Labels are given by name or by class index.

    Args:
        gold: gold labels ``[N]``. None, NaN or −100 = the turn is not labelled and is left out.
        predicted: predicted labels ``[N]``.
        labels: all C classes, in the order of the label set.

    Raises:
        DialogueSerError: gold and predicted differ in length, a label is unknown, a labelled turn has no prediction,
            or no turn is labelled.

    >>> result = score(["joy", "joy", "anger", None], ["joy", "anger", "anger", "joy"], ["joy", "anger", "fear"])
    >>> round(result.weighted_f1, 4), round(result.uar, 4), result.n
    (0.6667, 0.5, 3)
    """
    gold_N, predicted_N = class_indices(gold, labels), class_indices(predicted, labels)
    if gold_N.shape != predicted_N.shape:
        raise DialogueSerError(f"found {gold_N.size} gold labels but {predicted_N.size} predictions; give one per turn")
    missing = np.flatnonzero((gold_N >= 0) & (predicted_N < 0))
    if missing.size:
        raise DialogueSerError(
            f"{missing.size} labelled turns have no prediction, first at position {missing[0]}; predict every turn"
        )
    return scores_from_confusion(confusion_matrix(gold_N, predicted_N, len(labels)), labels)
