"""Scores ``[…]`` from confusion matrices ``[…, C, C]`` (row = gold): averages over classes, accuracy, micro F1.

0/0 counts as 0. An average over classes includes ALL classes of the label set, also classes that never occur. An
average F-score is the mean of the F-scores of the classes, not the F-score of mean precision and mean recall.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.metrics.confusion import FloatArray, class_values, ratio

#: β of the F-score in E1 (docs/equations.md, "Metrics"). With β below 1, precision counts more than recall.
BETA = 0.5
ClassScoreName = Literal["precision", "recall", "f1", "f05"]


def f_beta(precision: npt.ArrayLike, recall: npt.ArrayLike, beta: float) -> FloatArray:
    """Return F_β = (1 + β²)·P·R / (β²·P + R), elementwise; 0 where both are 0.

    >>> float(f_beta(0.5, 1.0, 1.0)), round(float(f_beta(0.5, 1.0, 0.5)), 4)
    (0.6666666666666666, 0.5556)
    """
    p, r = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    return ratio((1 + beta**2) * p * r, beta**2 * p + r)


def class_scores(confusion: npt.NDArray[Any]) -> dict[ClassScoreName, FloatArray]:
    """Return precision, recall, F1 and F0.5 per class, each ``[…, C]``."""
    precision, recall, f1 = class_values(confusion)
    return {"precision": precision, "recall": recall, "f1": f1, "f05": f_beta(precision, recall, BETA)}


def class_score(confusion: npt.NDArray[Any], name: ClassScoreName) -> FloatArray:
    """Return one score per class ``[…, C]``, as :func:`class_scores` does, without computing the others."""
    if name == "f05":
        return class_scores(confusion)[name]
    hits = np.einsum("...ii->...i", confusion).astype(np.float64)
    if name == "precision":
        return ratio(hits, confusion.sum(-2).astype(np.float64))
    support = confusion.sum(-1).astype(np.float64)
    if name == "recall":
        return ratio(hits, support)
    return ratio(2 * hits, support + confusion.sum(-2).astype(np.float64))


def macro(confusion: npt.NDArray[Any], name: ClassScoreName) -> FloatArray:
    """Return the unweighted mean of a score over all classes.

    Macro recall is UA. It differs from scikit-learn's balanced accuracy, which leaves absent classes out.

    >>> float(macro(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), "recall"))
    0.6666666666666666
    """
    mean: FloatArray = np.asarray(class_score(confusion, name).mean(-1))
    return mean


def weighted(confusion: npt.NDArray[Any], name: ClassScoreName) -> FloatArray:
    """Return the mean of a score over classes, weighted by their gold turns. Weighted recall is accuracy."""
    support = confusion.sum(-1).astype(np.float64)
    return ratio((class_score(confusion, name) * support).sum(-1), support.sum(-1))


def accuracy(confusion: npt.NDArray[Any]) -> FloatArray:
    """Return the share of correct turns (WA)."""
    return ratio(np.einsum("...ii->...", confusion), confusion.sum((-2, -1)))


def micro_f1(confusion: npt.NDArray[Any], leave_out: Sequence[int] = ()) -> FloatArray:
    """Return F1 of the hits, misses and false alarms of all classes together, except the left-out ones.

    The usual score of DailyDialog leaves out the class without emotion. A turn of this class that is predicted as an
    emotion is a false alarm. An emotion that is predicted as this class is a miss. Its own hits are not counted. If no
    class is left out, micro F1 is equal to accuracy.

    Args:
        confusion: ``[…, C, C]``, row = gold.
        leave_out: indices of the classes to leave out.
    """
    kept = [c for c in range(confusion.shape[-1]) if c not in set(leave_out)]
    hits = np.einsum("...ii->...i", confusion)[..., kept].sum(-1).astype(np.float64)
    gold = confusion.sum(-1)[..., kept].sum(-1).astype(np.float64)
    predicted = confusion.sum(-2)[..., kept].sum(-1).astype(np.float64)
    return ratio(2 * hits, gold + predicted)


def left_out_indices(leave_out: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the classes that micro F1 leaves out.

    Raises:
        ConfigError: a name is not a class, or all classes are left out.
    """
    problems = [f"data.leave_out: {unknown_name('label', name, labels)}" for name in leave_out if name not in labels]
    if not problems and set(labels) <= set(leave_out):
        problems = ["data.leave_out: names every class, so nothing is left to score; remove at least one class"]
    if problems:
        raise ConfigError(*problems)
    return tuple(labels.index(name) for name in leave_out)
