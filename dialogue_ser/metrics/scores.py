"""Scores of predicted classes: weighted F1, accuracy (WA), UA/UAR, macro F1, per class, confusion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import DialogueSerError, unknown_name

UNLABELLED = -100
METRICS = ("weighted_f1", "accuracy", "uar", "macro_f1")

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


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
        names = ClassScore.__dataclass_fields__
        return {
            "n": self.n,
            **{metric: getattr(self, metric) for metric in METRICS},
            "per_class": {
                label: {name: getattr(value, name) for name in names} for label, value in self.per_class.items()
            },
            "confusion": [list(row) for row in self.confusion],
        }


def encode(values: Iterable[object], labels: Sequence[str]) -> IntArray:
    """Class indices ``[N]`` of labels given by name or index; −100 for None, NaN and −100.

    Raises:
        DialogueSerError: values that are neither a label nor a valid index, all of them.

    >>> encode(["joy", None, 0], ["neutral", "joy"]).tolist()
    [1, -100, 0]
    """
    index: dict[object, int] = {label: i for i, label in enumerate(labels)}
    indices: list[int] = []
    bad: dict[str, None] = {}
    for value in values:
        if value is None or (isinstance(value, float) and np.isnan(value)):
            indices.append(UNLABELLED)
        elif isinstance(value, (int, np.integer)) and (value == UNLABELLED or 0 <= value < len(labels)):
            indices.append(int(value))
        elif value in index:
            indices.append(index[value])
        else:
            bad.setdefault(unknown_name("label", str(value), labels))
    if bad:
        raise DialogueSerError(*bad)
    return np.asarray(indices, dtype=np.int64)


def confusion_matrix(gold_N: IntArray, predicted_N: IntArray, n_classes: int) -> IntArray:
    """Turns per (gold, predicted) pair ``[C, C]``; turns whose gold is negative are left out.

    >>> confusion_matrix(np.array([0, 1, -100]), np.array([1, 1, 0]), 2).tolist()
    [[0, 1], [0, 1]]
    """
    labelled = gold_N >= 0
    cell = gold_N[labelled] * n_classes + predicted_N[labelled]
    return np.bincount(cell, minlength=n_classes * n_classes).reshape(n_classes, n_classes).astype(np.int64)


def class_values(confusion: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 per class ``[…, C]`` of confusion matrices ``[…, C, C]``; 0/0 counts as 0."""
    hits = np.einsum("...ii->...i", confusion).astype(np.float64)
    support = confusion.sum(-1).astype(np.float64)
    predicted = confusion.sum(-2).astype(np.float64)
    return _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, support + predicted)


def metric_values(confusion: npt.NDArray[Any]) -> dict[str, FloatArray]:
    """Every metric of METRICS, each ``[…]``, of confusion matrices ``[…, C, C]`` at once; 0/0 counts as 0."""
    _, recall, f1 = class_values(confusion)
    support = confusion.sum(-1).astype(np.float64)
    turns = support.sum(-1)
    return {
        "weighted_f1": _ratio((f1 * support).sum(-1), turns),
        "accuracy": _ratio(np.einsum("...ii->...", confusion).astype(np.float64), turns),
        # Over ALL classes: sklearn's balanced_accuracy_score would drop those absent from gold (PEERS.md trap 11).
        "uar": recall.mean(-1),
        "macro_f1": f1.mean(-1),
    }


def from_confusion(confusion: IntArray, labels: Sequence[str]) -> Scores:
    """Scores of one confusion matrix ``[C, C]`` (row = gold).

    Raises:
        DialogueSerError: it holds no turn.
    """
    if not confusion.sum():
        raise DialogueSerError("no labelled turn to score: every gold label is missing; score a labelled split")
    precision, recall, f1 = class_values(confusion)
    values = {name: float(value) for name, value in metric_values(confusion).items()}
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


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    result = np.zeros(np.broadcast(numerator, denominator).shape)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
