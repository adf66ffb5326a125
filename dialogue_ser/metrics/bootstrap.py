"""Percentile intervals by resampling dialogues, of one system or of the difference between two.

Turns of a dialogue are not independent, so whole dialogues are drawn. A dialogue enters a metric only through its
confusion matrix, so that a resample is a weighted sum of N matrices: all resamples are one matrix product.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.scores import FloatArray, IntArray, class_values, metric_values


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A metric with its percentile interval.

    Args:
        estimate: on the data as they are.
        low: lower bound.
        high: upper bound.
        level: e.g. 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float

    def to_dict(self) -> dict[str, float]:
        """The same as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Metric of system A minus metric of system B over the same dialogues.

    Args:
        estimate: difference of the means over seeds, on the data as they are.
        low: lower bound of the percentile interval.
        high: upper bound.
        level: e.g. 0.95.
        a: A's metric, mean over seeds.
        b: B's metric, mean over seeds.
        share_above_zero: share of resamples in which A is better.
        n_dialogues: dialogues that were drawn from.
        n_seeds: seeds of A and of B.
    """

    estimate: float
    low: float
    high: float
    level: float
    a: float
    b: float
    share_above_zero: float
    n_dialogues: int
    n_seeds: tuple[int, int]

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "n_seeds": list(self.n_seeds)}


def dialogue_confusions(gold_N: IntArray, predicted_N: IntArray, dialogue_N: IntArray, n_classes: int) -> FloatArray:
    """Confusion matrix of every dialogue.

    Args:
        gold_N: class indices, negative where unlabelled (left out).
        predicted_N: class indices.
        dialogue_N: dialogue number of every turn, 0 … n_dialogues − 1.
        n_classes: C.

    Returns:
        counts ``[dialogue, C, C]``, row = gold; all zero for a dialogue without labelled turns.
    """
    n_dialogues = int(dialogue_N.max()) + 1 if dialogue_N.size else 0
    labelled = gold_N >= 0
    cell = (dialogue_N[labelled] * n_classes + gold_N[labelled]) * n_classes + predicted_N[labelled]
    counts = np.bincount(cell, minlength=n_dialogues * n_classes**2)
    return counts.reshape(n_dialogues, n_classes, n_classes).astype(np.float64)


def bootstrap(
    confusions_NCC: FloatArray,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    values: Callable[[FloatArray], dict[str, FloatArray]] = metric_values,
) -> dict[str, Interval]:
    """Interval of every metric by resampling N dialogues with replacement.

    Args:
        confusions_NCC: from :func:`dialogue_confusions`.
        n_resamples: draws.
        level: coverage of the percentile interval.
        seed: of the draws.
        values: confusion matrices ``[…, C, C]`` → name → ``[…]``; by default the metrics of METRICS.

    Raises:
        DialogueSerError: no labelled turn.

    A class that a resample lacks counts 0 in UAR and macro F1, as everywhere here; on a handful of dialogues these
    two intervals therefore reach low.
    """
    resampled, full = _resampled(confusions_NCC, n_resamples, seed)
    draws, estimates = values(resampled), values(full)
    return {name: _interval(float(estimates[name]), draws[name], level) for name in estimates}


def bootstrap_class_f1(
    confusions_NCC: FloatArray, n_resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[Interval, ...]:
    """Interval of each class's F1, in the classes' order; draws as :func:`bootstrap` with the same seed."""
    resampled, full = _resampled(confusions_NCC, n_resamples, seed)
    draws, estimates = class_values(resampled)[2], class_values(full)[2]
    return tuple(_interval(float(estimates[c]), draws[:, c], level) for c in range(full.shape[-1]))


def paired_bootstrap(
    confusions_a: FloatArray,
    confusions_b: FloatArray,
    metric: str = "weighted_f1",
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Interval of metric(A) − metric(B) over the same dialogues, and over seeds where there are several.

    Args:
        confusions_a: ``[N, C, C]``, or ``[seed, N, C, C]`` for several training seeds.
        confusions_b: the same N dialogues in the same order; the number of seeds may differ.
        metric: one of METRICS.
        n_resamples: draws. Each draws N dialogues (the same for every system and seed) and, of each system, as many
            seeds as it has (independently, because equal seeds of different systems have nothing in common).
        level: coverage of the percentile interval.
        seed: of the draws.

    Raises:
        DialogueSerError: shapes or gold labels that differ.
    """
    a, b = check_paired(confusions_a, confusions_b)
    rng = np.random.default_rng(seed)
    weights = _dialogue_weights(rng, a.shape[1], n_resamples)
    values_a, values_b = _seed_means(rng, a, weights, metric), _seed_means(rng, b, weights, metric)
    mean_a, mean_b = (float(metric_values(x.sum(1))[metric].mean()) for x in (a, b))
    draws = values_a - values_b
    draws[np.abs(draws) < 1e-12] = 0.0  # equal scores whose seeds were summed in another order
    interval = _interval(mean_a - mean_b, draws, level)
    return Difference(
        **interval.to_dict(),
        a=mean_a,
        b=mean_b,
        share_above_zero=float((draws > 0).mean()),
        n_dialogues=a.shape[1],
        n_seeds=(a.shape[0], b.shape[0]),
    )


def stack_seeds(confusions: Sequence[FloatArray]) -> FloatArray:
    """``[seed, N, C, C]`` of one matrix stack ``[N, C, C]`` per seed.

    Raises:
        DialogueSerError: none given, or other dialogues or classes.
    """
    if not confusions or len({x.shape for x in confusions}) != 1:
        shapes = ", ".join(str(x.shape) for x in confusions) or "none"
        raise DialogueSerError(f"seeds cover different dialogues or classes ({shapes}); evaluate them on one split")
    return np.stack(confusions)


def check_paired(confusions_a: FloatArray, confusions_b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both as ``[seed, N, C, C]``, known to be over the same dialogues.

    Raises:
        DialogueSerError: shapes or gold labels that differ.
    """
    a, b = (x[None] if x.ndim == 3 else x for x in (confusions_a, confusions_b))
    if a.shape[1:] != b.shape[1:]:
        raise DialogueSerError(
            f"A has {a.shape[1]} dialogues × {a.shape[2]} classes, B {b.shape[1]} × {b.shape[2]}; "
            "compare systems on the same split and label set"
        )
    gold = a[0].sum(-1)
    if any((x.sum(-1) != gold).any() for x in (*a, *b)):
        raise DialogueSerError(
            "A and B have different gold labels in some dialogues; evaluate both on one corpus version"
        )
    return a, b


def _seed_means(
    rng: np.random.Generator, confusions_SNCC: FloatArray, weights_RN: FloatArray, metric: str
) -> FloatArray:
    n_seeds, n_dialogues, n_classes, _ = confusions_SNCC.shape
    flat = confusions_SNCC.transpose(1, 0, 2, 3).reshape(n_dialogues, -1)
    resampled = (weights_RN @ flat).reshape(-1, n_seeds, n_classes, n_classes)
    seed_weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=weights_RN.shape[0]) / n_seeds
    means: FloatArray = (metric_values(resampled)[metric] * seed_weights).sum(-1)
    return means


def _dialogue_weights(rng: np.random.Generator, n_dialogues: int, n_resamples: int) -> FloatArray:
    return rng.multinomial(n_dialogues, np.full(n_dialogues, 1 / n_dialogues), size=n_resamples).astype(np.float64)


def _resampled(confusions_NCC: FloatArray, n_resamples: int, seed: int) -> tuple[FloatArray, FloatArray]:
    full: FloatArray = confusions_NCC.sum(0)
    if not full.sum():
        raise DialogueSerError("no labelled turn to resample; use a labelled split")
    # Dialogues without labelled turns say nothing; drawing them would only thin the resamples.
    kept = confusions_NCC[confusions_NCC.sum((1, 2)) > 0]
    weights = _dialogue_weights(np.random.default_rng(seed), kept.shape[0], n_resamples)
    return (weights @ kept.reshape(kept.shape[0], -1)).reshape(-1, *full.shape), full


def _interval(estimate: float, draws: FloatArray, level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), level=level)
