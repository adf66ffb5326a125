"""Confusion matrices: how many turns of each gold class are predicted as each class; precision, recall and F1."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import DialogueSerError, unknown_name

UNLABELLED = -100

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def class_indices(values: Iterable[object], labels: Sequence[str]) -> IntArray:
    """Return class indices ``[N]`` of labels that are given by name or index; −100 for None, NaN and −100.

    Raises:
        DialogueSerError: values are neither a label nor a valid index. The message names all of them.

    >>> class_indices(["joy", None, 0], ["neutral", "joy"]).tolist()
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
    """Return the number of turns per pair (gold, predicted) ``[C, C]``. Turns with negative gold are left out.

    >>> confusion_matrix(np.array([0, 1, -100]), np.array([1, 1, 0]), 2).tolist()
    [[0, 1], [0, 1]]
    """
    labelled = gold_N >= 0
    cell = gold_N[labelled] * n_classes + predicted_N[labelled]
    return np.bincount(cell, minlength=n_classes * n_classes).reshape(n_classes, n_classes).astype(np.int64)


def dialogue_confusions(gold_N: IntArray, predicted_N: IntArray, dialogue_N: IntArray, n_classes: int) -> FloatArray:
    """Return the confusion matrix of every dialogue.

    Args:
        gold_N: gold class indices. Negative = the turn is not labelled and is left out.
        predicted_N: predicted class indices.
        dialogue_N: dialogue number of every turn, 0 … n_dialogues − 1.
        n_classes: number of classes C.

    Returns:
        counts ``[dialogue, C, C]``, row = gold; all zero for a dialogue without labelled turns.
    """
    n_dialogues = int(dialogue_N.max()) + 1 if dialogue_N.size else 0
    labelled = gold_N >= 0
    cell = (dialogue_N[labelled] * n_classes + gold_N[labelled]) * n_classes + predicted_N[labelled]
    counts = np.bincount(cell, minlength=n_dialogues * n_classes**2)
    return counts.reshape(n_dialogues, n_classes, n_classes).astype(np.float64)


def class_values(confusion: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return precision, recall and F1 per class ``[…, C]`` for confusion matrices ``[…, C, C]``. 0/0 counts as 0."""
    hits = np.einsum("...ii->...i", confusion).astype(np.float64)
    support = confusion.sum(-1).astype(np.float64)
    predicted = confusion.sum(-2).astype(np.float64)
    return ratio(hits, predicted), ratio(hits, support), ratio(2 * hits, support + predicted)


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Return the elementwise quotient. 0/0 counts as 0.

    >>> ratio(np.array([1.0, 0.0]), np.array([4.0, 0.0])).tolist()
    [0.25, 0.0]
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    result = np.zeros(np.broadcast(above, below).shape)
    np.divide(above, below, out=result, where=below > 0)
    return result
