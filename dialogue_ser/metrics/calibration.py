"""How far a model's confidence can be believed: ECE, Brier score, log-loss, reliability bins."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """Turns whose top probability lies in (low, high].

    Args:
        low: lower edge.
        high: upper edge.
        n: turns.
        confidence: their mean top probability; None where n is 0.
        accuracy: share of them that is right; None where n is 0.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Calibration of one set of turns.

    Args:
        ece: expected calibration error, Σ n_b/n · |accuracy_b − confidence_b| over equal-width bins (Naeini 2015).
        mce: largest gap of a non-empty bin.
        brier: mean over turns of Σ_c (p_c − 1[c = gold])², 0 to 2.
        log_loss: mean −log p_gold in nats.
        confidence: mean top probability.
        accuracy: share of right turns.
        bins: the reliability diagram.
    """

    ece: float
    mce: float
    brier: float
    log_loss: float
    confidence: float
    accuracy: float
    bins: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "bins": [asdict(b) for b in self.bins]}


def calibration(probabilities_NC: FloatArray, gold_N: IntArray, n_bins: int = 15) -> Calibration:
    """Calibration of class probabilities.

    Args:
        probabilities_NC: rows sum to 1, ``[N, C]``.
        gold_N: class indices, negative where unlabelled (left out), ``[N]``.
        n_bins: equal-width bins over (0, 1].

    Raises:
        DialogueSerError: no labelled turn, or rows that are no distribution (within 1e-3).

    >>> calibration(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]), n_bins=2).ece
    0.25
    """
    labelled = gold_N >= 0
    p_NC, y_N = probabilities_NC[labelled].astype(np.float64), gold_N[labelled]
    if not y_N.size:
        raise DialogueSerError("no labelled turn to calibrate on; use a labelled split")
    _check(p_NC)
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


def _check(p_NC: FloatArray) -> None:
    off = ~np.isfinite(p_NC).all(-1) | (p_NC < 0).any(-1) | (np.abs(p_NC.sum(-1) - 1) > 1e-3)
    if off.any():
        first = int(np.flatnonzero(off)[0])
        raise DialogueSerError(
            f"{int(off.sum())} of {p_NC.shape[0]} rows are no probabilities (first: labelled row {first}, sum "
            f"{p_NC[first].sum():.4g}); give softmax outputs, not logits"
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
