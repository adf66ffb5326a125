"""ROC curves of each class against all others, and the area under them (AUC), as in scikit-learn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """The ROC curve of one class, from (0, 0) to (1, 1). Thresholds fall along the curve.

    Args:
        false_positive_rate: for each threshold, share of the turns of other classes with a score at or above it.
        true_positive_rate: for each threshold, share of the turns of the class with a score at or above it.
        auc: area under the curve. It is the probability that a turn of the class has a higher score than a turn of
            another class; equal scores count half.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    auc: float


def roc_curve(score_N: FloatArray, is_positive_N: npt.NDArray[np.bool_]) -> RocCurve | None:
    """Return the ROC curve of one score; None if all turns or no turns are positive.

    Turns with equal scores are one step of the curve, which is then diagonal.

    >>> curve = roc_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    >>> curve.auc
    0.75
    """
    if is_positive_N.all() or not is_positive_N.any():
        return None
    from sklearn import config_context, metrics  # imported here, because it takes seconds and most users need no curve

    with config_context(skip_parameter_validation=True):  # its checks of arguments take longer than the curve
        false_rate, true_rate, _ = metrics.roc_curve(is_positive_N, score_N, drop_intermediate=False)
        area = float(metrics.auc(false_rate, true_rate))
    return RocCurve(false_positive_rate=false_rate, true_positive_rate=true_rate, auc=area)


def roc_curves(probabilities_NC: FloatArray, gold_N: IntArray, labels: Sequence[str]) -> dict[str, RocCurve | None]:
    """Return the curve of every class against all others.

    Args:
        probabilities_NC: class probabilities ``[N, C]``.
        gold_N: class indices ``[N]``. Negative = the turn is not labelled and is left out.
        labels: all C classes.

    Returns:
        class → curve; None for a class that no turn or every turn has.

    Raises:
        DialogueSerError: a probability is not finite.
    """
    labelled = gold_N >= 0
    p_NC, y_N = probabilities_NC[labelled], gold_N[labelled]
    if not np.isfinite(p_NC).all():
        raise DialogueSerError("probabilities of labelled turns are not all finite; predict them again")
    return {label: roc_curve(p_NC[:, c], y_N == c) for c, label in enumerate(labels)}


def macro_auc(curves: Mapping[str, RocCurve | None]) -> float | None:
    """Return the mean area over the classes that have a curve; None if no class has one."""
    areas = [curve.auc for curve in curves.values() if curve is not None]
    return float(np.mean(areas)) if areas else None
