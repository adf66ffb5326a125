"""Percentile intervals by resampling dialogues, of one system or of the difference between two.

Turns of a dialogue are not independent, so whole dialogues are drawn. A dialogue enters an additive metric only through
its statistic (confusion matrix, or sums of values), so that a resample is a weighted sum of N of them. All resamples
are one matrix product.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray, class_values
from dialogue_ser.metrics.table import Metric


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
        share_above_zero: share of resamples in which A's metric is higher.
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


def bootstrap(
    statistics_N: FloatArray,
    values: Callable[[FloatArray], Mapping[str, FloatArray]],
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Interval of every value by resampling N dialogues with replacement.

    Args:
        statistics_N: one statistic per dialogue ``[N, …]``: confusion matrices ``[N, C, C]`` or moments ``[N, S, 7]``.
        values: sums of statistics ``[…, C, C]`` or ``[…, S, 7]`` → name → ``[…]``, e.g. :func:`values_of` some metrics.
        n_resamples: draws.
        level: coverage of the percentile interval.
        seed: of the draws.

    Raises:
        DialogueSerError: no labelled turn.

    A class that a resample lacks counts 0 in UA and macro F1, as everywhere here; on a handful of dialogues these
    two intervals therefore reach low.
    """
    resampled, full = _resampled(statistics_N, n_resamples, seed)
    draws, estimates = values(resampled), values(full)
    return {name: percentile_interval(float(estimates[name]), draws[name], level) for name in estimates}


def values_of(metrics: Iterable[Metric]) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """A function that computes additive metrics of sums of statistics, by key."""
    chosen = tuple(metrics)
    return lambda statistic: {metric.key: metric.of_statistic(statistic) for metric in chosen}


def class_f1_values(labels: Sequence[str]) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """A function that computes each class's F1 of confusion matrices, by class."""
    return lambda confusion: {label: class_values(confusion)[2][..., c] for c, label in enumerate(labels)}


def paired_bootstrap(
    statistics_a: FloatArray,
    statistics_b: FloatArray,
    metric: Metric,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Interval of metric(A) − metric(B) over the same dialogues, and over seeds where there are several.

    Args:
        statistics_a: ``[N, C, C]`` or ``[N, S, 7]``, or ``[seed, N, …]`` for several training seeds.
        statistics_b: the same N dialogues in the same order; the number of seeds may differ.
        metric: an additive one.
        n_resamples: draws. Each draws N dialogues (the same for every system and seed) and, of each system, as many
            seeds as it has (independently, because equal seeds of different systems have nothing in common).
        level: coverage of the percentile interval.
        seed: of the draws.

    Raises:
        DialogueSerError: shapes or gold labels that differ.
    """
    a, b = check_paired(statistics_a, statistics_b, metric)

    def system(statistics_SN: FloatArray) -> Callable[[FloatArray], FloatArray]:
        def scores_RS(weights_RN: FloatArray) -> FloatArray:
            n_seeds, n_dialogues, *shape = statistics_SN.shape
            flat = statistics_SN.swapaxes(0, 1).reshape(n_dialogues, -1)
            return metric.of_statistic((weights_RN @ flat).reshape(-1, n_seeds, *shape))

        return scores_RS

    return paired_difference(system(a), system(b), (a.shape[0], b.shape[0]), a.shape[1], n_resamples, level, seed)


def paired_difference(
    scores_a: Callable[[FloatArray], FloatArray],
    scores_b: Callable[[FloatArray], FloatArray],
    n_seeds: tuple[int, int],
    n_dialogues: int,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """As :func:`paired_bootstrap`, of systems given by how they score weighted dialogues.

    Args:
        scores_a: how often each dialogue was drawn ``[R, N]`` → A's metric ``[R, seed]``.
        scores_b: the same of B.
        n_seeds: of A and of B.
        n_dialogues: N.
        n_resamples: R.
        level: coverage.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    weights_RN = _dialogue_weights(rng, n_dialogues, n_resamples)
    values_a, values_b = (
        _mean_over_drawn_seeds(rng, scores(weights_RN), n)
        for scores, n in ((scores_a, n_seeds[0]), (scores_b, n_seeds[1]))
    )
    once_1N = np.ones((1, n_dialogues))
    mean_a, mean_b = (float(scores(once_1N).mean()) for scores in (scores_a, scores_b))
    draws = values_a - values_b
    draws[np.abs(draws) < 1e-12] = 0.0  # equal scores whose seeds were summed in another order
    interval = percentile_interval(mean_a - mean_b, draws, level)
    return Difference(
        **interval.to_dict(),
        a=mean_a,
        b=mean_b,
        share_above_zero=float((draws > 0).mean()),
        n_dialogues=n_dialogues,
        n_seeds=n_seeds,
    )


def stack_seeds(statistics: Sequence[FloatArray]) -> FloatArray:
    """``[seed, N, …]`` of one stack of statistics ``[N, …]`` per seed.

    Raises:
        DialogueSerError: none given, or other dialogues, classes or dimensions.
    """
    if not statistics or len({x.shape for x in statistics}) != 1:
        shapes = ", ".join(str(x.shape) for x in statistics) or "none"
        raise DialogueSerError(f"seeds cover different dialogues or classes ({shapes}); evaluate them on one split")
    return np.stack(statistics)


def check_paired(statistics_a: FloatArray, statistics_b: FloatArray, metric: Metric) -> tuple[FloatArray, FloatArray]:
    """Both as ``[seed, N, …]``, known to be over the same dialogues.

    Raises:
        DialogueSerError: shapes or gold labels that differ.
    """
    a, b = (x[None] if x.ndim == 3 else x for x in (statistics_a, statistics_b))
    if a.shape[1:] != b.shape[1:]:
        raise DialogueSerError(
            f"A has {a.shape[1]} dialogues × {a.shape[2]} classes, B {b.shape[1]} × {b.shape[2]}; "
            "compare systems on the same split and label set"
        )
    gold = metric.gold_of(a[0])
    if any((metric.gold_of(x) != gold).any() for x in (*a, *b)):
        raise DialogueSerError(
            "A and B have different gold labels in some dialogues; evaluate both on one corpus version"
        )
    return a, b


def percentile_interval(estimate: float, draws: FloatArray, level: float) -> Interval:
    """Percentile interval of an estimate by its values under resampling."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), level=level)


def _mean_over_drawn_seeds(rng: np.random.Generator, values_RS: FloatArray, n_seeds: int) -> FloatArray:
    seed_weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=values_RS.shape[0]) / n_seeds
    means: FloatArray = (values_RS * seed_weights).sum(-1)
    return means


def _dialogue_weights(rng: np.random.Generator, n_dialogues: int, n_resamples: int) -> FloatArray:
    return rng.multinomial(n_dialogues, np.full(n_dialogues, 1 / n_dialogues), size=n_resamples).astype(np.float64)


def _resampled(statistics_N: FloatArray, n_resamples: int, seed: int) -> tuple[FloatArray, FloatArray]:
    full: FloatArray = statistics_N.sum(0)
    if not full.any():
        raise DialogueSerError("no labelled turn to resample; use a labelled split")
    # Dialogues without labelled turns say nothing; drawing them would only thin the resamples.
    kept = statistics_N[statistics_N.any((1, 2))]
    weights = _dialogue_weights(np.random.default_rng(seed), kept.shape[0], n_resamples)
    return (weights @ kept.reshape(kept.shape[0], -1)).reshape(-1, *full.shape), full
