"""Calibration: whether a model is right as often as its probabilities say. ECE, Brier score, log-loss, bins."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """The turns whose highest probability is in (low, high].

    Args:
        low: lower edge of the bin.
        high: upper edge of the bin.
        n: number of turns.
        confidence: mean of their highest probabilities; None if n is 0.
        accuracy: share of correct turns; None if n is 0.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The calibration of one set of turns.

    Args:
        ece: expected calibration error: Σ n_b/n · |accuracy_b − confidence_b| over bins of equal width (Naeini 2015).
        mce: largest |accuracy_b − confidence_b| of the bins that have turns.
        brier: mean over turns of Σ_c (p_c − 1[c = gold])², from 0 to 2.
        log_loss: mean of −log p_gold, in nats.
        confidence: mean of the highest probabilities.
        accuracy: share of correct turns.
        bins: bins of the reliability diagram.
    """

    ece: float
    mce: float
    brier: float
    log_loss: float
    confidence: float
    accuracy: float
    bins: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**asdict(self), "bins": [asdict(b) for b in self.bins]}


def calibration(probabilities_NC: FloatArray, gold_N: IntArray, n_bins: int = 15) -> Calibration:
    """Return the calibration of class probabilities.

    Args:
        probabilities_NC: class probabilities ``[N, C]``. Each row sums to 1.
        gold_N: class indices ``[N]``. Negative = the turn is not labelled and is left out.
        n_bins: number of bins of equal width over (0, 1].

    Raises:
        DialogueSerError: there is no labelled turn, or a row is no probability distribution (within 1e-3).

    >>> calibration(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]), n_bins=2).ece
    0.25
    """
    labelled = gold_N >= 0
    p_NC, y_N = probabilities_NC[labelled].astype(np.float64), gold_N[labelled]
    if not y_N.size:
        raise DialogueSerError("no labelled turn to calibrate on; use a labelled split")
    _check_probabilities(p_NC)
    confidence_N = p_NC.max(-1)
    right_N = (p_NC.argmax(-1) == y_N).astype(np.float64)
    gold_p_N = p_NC[np.arange(y_N.size), y_N]
    bins = _bins(confidence_N, right_N, n_bins)
    gaps = [(b.n, abs(b.accuracy - b.confidence)) for b in bins if b.accuracy is not None and b.confidence is not None]
    return Calibration(
        ece=sum(n * gap for n, gap in gaps) / y_N.size,
        mce=max(gap for _, gap in gaps),
        brier=float(((p_NC**2).sum(-1) - 2 * gold_p_N + 1).mean()),
        log_loss=float(-np.log(np.maximum(gold_p_N, np.finfo(np.float64).tiny)).mean()),
        confidence=float(confidence_N.mean()),
        accuracy=float(right_N.mean()),
        bins=bins,
    )


def _check_probabilities(p_NC: FloatArray) -> None:
    is_wrong_N = ~np.isfinite(p_NC).all(-1) | (p_NC < 0).any(-1) | (np.abs(p_NC.sum(-1) - 1) > 1e-3)
    if is_wrong_N.any():
        first = int(np.flatnonzero(is_wrong_N)[0])
        raise DialogueSerError(
            f"{int(is_wrong_N.sum())} of {p_NC.shape[0]} rows are not probabilities (the first one is labelled row "
            f"{first}, with the sum {p_NC[first].sum():.4g}); give softmax outputs, not logits"
        )


def _bins(confidence_N: FloatArray, right_N: FloatArray, n_bins: int) -> tuple[ReliabilityBin, ...]:
    bin_N = np.clip(np.ceil(confidence_N * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    n = np.bincount(bin_N, minlength=n_bins)
    confidence = np.bincount(bin_N, confidence_N, n_bins)
    right = np.bincount(bin_N, right_N, n_bins)
    return tuple(
        ReliabilityBin(
            low=i / n_bins,
            high=(i + 1) / n_bins,
            n=int(n[i]),
            confidence=float(confidence[i] / n[i]) if n[i] else None,
            accuracy=float(right[i] / n[i]) if n[i] else None,
        )
        for i in range(n_bins)
    )
