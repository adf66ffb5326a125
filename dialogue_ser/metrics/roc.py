"""ROC curves, one class against the rest, and the area under them, as scikit-learn computes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """One class's curve, from (0, 0) to (1, 1).

    Args:
        false_positive_rate: share of the other turns whose score lies at or above each threshold, falling thresholds.
        true_positive_rate: share of the class's turns that does.
        auc: area under the curve: how often a turn of the class has a higher score than one of another, ties half.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    auc: float


def roc_curve(score_N: FloatArray, is_positive_N: npt.NDArray[np.bool_]) -> RocCurve | None:
    """The curve of one score; None where either side is empty, so that there is nothing to tell apart.

    Equal scores are one step of the curve, a slanted one.

    >>> curve = roc_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    >>> curve.auc
    0.75
    """
    if is_positive_N.all() or not is_positive_N.any():
        return None
    from sklearn import metrics  # takes seconds to import, and few who import this module need a curve

    false_rate, true_rate, _ = metrics.roc_curve(is_positive_N, score_N, drop_intermediate=False)
    area = float(metrics.auc(false_rate, true_rate))
    return RocCurve(false_positive_rate=false_rate, true_positive_rate=true_rate, auc=area)


def roc_curves(probabilities_NC: FloatArray, gold_N: IntArray, labels: Sequence[str]) -> dict[str, RocCurve | None]:
    """Every class against the rest, by its probability.

    Args:
        probabilities_NC: ``[N, C]``.
        gold_N: class indices, negative where unlabelled (left out), ``[N]``.
        labels: all C classes.

    Raises:
        DialogueSerError: probabilities that are not finite.

    Returns:
        label → curve; None for a class that never occurs, or alone occurs.
    """
    labelled = gold_N >= 0
    p_NC, y_N = probabilities_NC[labelled], gold_N[labelled]
    if not np.isfinite(p_NC).all():
        raise DialogueSerError("probabilities of labelled turns are not all finite; predict them again")
    return {label: roc_curve(p_NC[:, c], y_N == c) for c, label in enumerate(labels)}


def macro_auc(curves: Mapping[str, RocCurve | None]) -> float | None:
    """Mean area over the classes that have a curve; None where none has."""
    areas = [curve.auc for curve in curves.values() if curve is not None]
    return float(np.mean(areas)) if areas else None
