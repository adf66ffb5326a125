"""Scores ``[…]`` of confusion matrices ``[…, C, C]`` (row = gold): averages over classes, accuracy, micro F1.

0/0 counts as 0 everywhere, and every average over classes is over ALL classes of the label set, also those that never
occur. F-scores are averages of the classes' F-scores, not F-scores of average precision and recall.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.metrics.confusion import FloatArray, class_values, ratio

#: Weight of recall against precision in E1 (docs/equations.md), so that precision counts for more.
BETA = 0.5
ClassScoreName = Literal["precision", "recall", "f1", "f05"]


def f_beta(precision: npt.ArrayLike, recall: npt.ArrayLike, beta: float) -> FloatArray:
    """F_β = (1 + β²)·P·R / (β²·P + R), elementwise; 0 where both are 0.

    >>> float(f_beta(0.5, 1.0, 1.0)), round(float(f_beta(0.5, 1.0, 0.5)), 4)
    (0.6666666666666666, 0.5556)
    """
    p, r = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    return ratio((1 + beta**2) * p * r, beta**2 * p + r)


def class_scores(confusion: npt.NDArray[Any]) -> dict[ClassScoreName, FloatArray]:
    """Precision, recall, F1 and F0.5 per class, each ``[…, C]``."""
    precision, recall, f1 = class_values(confusion)
    return {"precision": precision, "recall": recall, "f1": f1, "f05": f_beta(precision, recall, BETA)}


def macro(confusion: npt.NDArray[Any], name: ClassScoreName) -> FloatArray:
    """Plain mean over all classes. Macro recall is UA: scikit-learn's balanced accuracy leaves absent classes out.

    >>> float(macro(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), "recall"))
    0.6666666666666666
    """
    mean: FloatArray = np.asarray(class_scores(confusion)[name].mean(-1))
    return mean


def weighted(confusion: npt.NDArray[Any], name: ClassScoreName) -> FloatArray:
    """Mean over classes with their gold turns as weights. Weighted recall is accuracy."""
    support = confusion.sum(-1).astype(np.float64)
    return ratio((class_scores(confusion)[name] * support).sum(-1), support.sum(-1))


def accuracy(confusion: npt.NDArray[Any]) -> FloatArray:
    """Right turns / turns (WA)."""
    return ratio(np.einsum("...ii->...", confusion), confusion.sum((-2, -1)))


def micro_f1(confusion: npt.NDArray[Any], leave_out: Sequence[int] = ()) -> FloatArray:
    """F1 of hits, misses and false alarms counted over all classes but some.

    DailyDialog's score leaves out the class without emotion: a turn of it that is predicted as an emotion is a false
    alarm, an emotion predicted as it is a miss, and its own hits count nowhere. Without leaving out any it is accuracy.

    Args:
        confusion: ``[…, C, C]``, row = gold.
        leave_out: class indices.
    """
    kept = [c for c in range(confusion.shape[-1]) if c not in set(leave_out)]
    hits = np.einsum("...ii->...i", confusion)[..., kept].sum(-1).astype(np.float64)
    gold = confusion.sum(-1)[..., kept].sum(-1).astype(np.float64)
    predicted = confusion.sum(-2)[..., kept].sum(-1).astype(np.float64)
    return ratio(2 * hits, gold + predicted)


def left_out_indices(leave_out: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """Indices of the classes that micro F1 leaves out.

    Raises:
        ConfigError: names that are no class, or every class.
    """
    problems = [f"data.leave_out: {unknown_name('label', name, labels)}" for name in leave_out if name not in labels]
    if not problems and set(labels) <= set(leave_out):
        problems = ["data.leave_out: names every class, so that nothing is left to score; keep one"]
    if problems:
        raise ConfigError(*problems)
    return tuple(labels.index(name) for name in leave_out)
