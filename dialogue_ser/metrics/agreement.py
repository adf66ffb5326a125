"""Agreement of predicted values with gold values, per dimension: CCC, Pearson's r, mean absolute and squared error.

Every score is computed from seven sums over turns (:data:`SUMS`). The sums of several dialogues can be added. So the
sums of a resample are a weighted sum over dialogues, as for confusion matrices.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_ser.metrics.confusion import FloatArray, IntArray

#: The last axis of :func:`dialogue_moments`. With g for gold and p for predicted: number of turns, Σg, Σg², Σp, Σp²,
#: Σg·p, Σ|g − p|.
SUMS = ("n", "gold", "gold_squared", "predicted", "predicted_squared", "product", "absolute_error")
#: The first three sums depend on gold only.
N_GOLD_SUMS = 3


def dialogue_moments(gold_NS: FloatArray, predicted_NS: FloatArray, dialogue_N: IntArray) -> FloatArray:
    """Return the seven sums of every dialogue and dimension.

    The mean gold value of each dimension is subtracted from all values first. This changes no score, and it avoids
    rounding errors in sums of squares of large values.

    Args:
        gold_NS: gold values, turn × dimension. NaN = the turn is not annotated and is left out.
        predicted_NS: predicted values, turn × dimension.
        dialogue_N: dialogue number of every turn, 0 … n_dialogues − 1.

    Returns:
        ``[dialogue, S, 7]``.
    """
    n_dialogues = int(dialogue_N.max()) + 1 if dialogue_N.size else 0
    is_known_NS = np.isfinite(gold_NS)
    n_S = is_known_NS.sum(0)
    shift_S = np.where(is_known_NS, gold_NS, 0.0).sum(0) / np.maximum(n_S, 1)
    g, p = (np.where(is_known_NS, values - shift_S, 0.0) for values in (gold_NS, predicted_NS))
    sums_NSM = np.stack([is_known_NS.astype(np.float64), g, g * g, p, p * p, g * p, np.abs(g - p)], axis=-1)
    found: FloatArray = np.zeros((n_dialogues, *sums_NSM.shape[1:]))
    np.add.at(found, dialogue_N, sums_NSM)
    return found


def ccc(moments: npt.NDArray[Any]) -> FloatArray:
    """Return the concordance correlation ``[…, S]``: 2·cov / (var_g + var_p + (mean_g − mean_p)²) (Lin 1989).

    Variances are population variances (divided by n). The result is 0 if nothing varies or nothing is annotated.

    >>> gold, dialogue = np.array([[1.0], [2.0], [3.0]]), np.zeros(3, dtype=np.int64)
    >>> float(ccc(dialogue_moments(gold, gold, dialogue).sum(0))[0])
    1.0
    >>> round(float(ccc(dialogue_moments(gold, gold + 1, dialogue).sum(0))[0]), 4)  # all predictions are 1 too high
    0.5714
    """
    mean_g, mean_p, var_g, var_p, covariance = _central(moments)
    return _quotient(2 * covariance, var_g + var_p + (mean_g - mean_p) ** 2)


def pearson_r(moments: npt.NDArray[Any]) -> FloatArray:
    """Return Pearson's correlation ``[…, S]``. It is 0 if gold or predictions do not vary.

    >>> gold, dialogue = np.array([[1.0], [2.0], [3.0]]), np.zeros(3, dtype=np.int64)
    >>> round(float(pearson_r(dialogue_moments(gold, 5 - gold, dialogue).sum(0))[0]), 4)
    -1.0
    """
    _, _, var_g, var_p, covariance = _central(moments)
    return np.clip(_quotient(covariance, np.sqrt(var_g * var_p)), -1.0, 1.0)


def mae(moments: npt.NDArray[Any]) -> FloatArray:
    """Return the mean absolute error ``[…, S]``, in the units of the dimension."""
    return _quotient(moments[..., 6], moments[..., 0])


def mse(moments: npt.NDArray[Any]) -> FloatArray:
    """Return the mean squared error ``[…, S]``, in squared units of the dimension."""
    return _quotient(moments[..., 2] + moments[..., 4] - 2 * moments[..., 5], moments[..., 0])


def mean_over_known(values: npt.NDArray[Any], n: npt.NDArray[Any]) -> FloatArray:
    """Return the mean ``[…]`` of values ``[…, S]`` over the annotated dimensions; 0 if no dimension is annotated.

    A dimension without gold has no score. Counting it as 0 would make MAE better and CCC worse.

    Args:
        values: one value per dimension ``[…, S]``.
        n: number of annotated turns per dimension ``[…, S]``.

    >>> float(mean_over_known(np.array([0.5, 0.0]), np.array([8.0, 0.0])))
    0.5
    """
    is_known = n > 0
    return _quotient(np.where(is_known, values, 0.0).sum(-1), is_known.sum(-1))


def _central(moments: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
    """Return mean_g, mean_p, var_g, var_p and the covariance of gold (g) and predictions (p)."""
    n = moments[..., 0]
    mean_g, mean_p = _quotient(moments[..., 1], n), _quotient(moments[..., 3], n)
    var_g = _variance(_quotient(moments[..., 2], n), mean_g)
    var_p = _variance(_quotient(moments[..., 4], n), mean_p)
    covariance = _quotient(moments[..., 5], n) - mean_g * mean_p
    # The covariance with a constant is 0. Rounding would make it slightly negative, and a floor would have CCC −0.0000.
    return mean_g, mean_p, var_g, var_p, np.where((var_g > 0) & (var_p > 0), covariance, 0.0)


def _variance(mean_square: FloatArray, mean: FloatArray) -> FloatArray:
    """Return mean_square − mean². A difference as small as rounding errors becomes 0, so that constants do not vary."""
    variance = mean_square - mean**2
    return np.where(variance > 1e-13 * mean_square, variance, 0.0)


def _quotient(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> FloatArray:
    """Return the elementwise quotient; 0 where the divisor is 0."""
    result: FloatArray = np.zeros(np.broadcast(above, below).shape)
    np.divide(above, below, out=result, where=below > 0)
    return result
