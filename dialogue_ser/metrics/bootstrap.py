"""Percentile intervals by resampling dialogues, for one system or for the difference between two systems.

The turns of a dialogue are not independent. Therefore whole dialogues are drawn. An additive metric depends on a
dialogue only through its statistic (a confusion matrix, or sums of values). So the statistic of a resample is a
weighted sum of N statistics, and all resamples together are one matrix product.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import BoolArray, FloatArray, class_values
from dialogue_ser.metrics.table import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A metric with its percentile interval.

    Args:
        estimate: metric of the data without resampling.
        low: lower bound of the interval.
        high: upper bound of the interval.
        level: coverage of the interval, e.g. 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float

    def to_dict(self) -> dict[str, float]:
        """Return the fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The metric of system A minus the metric of system B, on the same dialogues.

    Args:
        estimate: difference of the means over seeds, without resampling.
        low: lower bound of the percentile interval.
        high: upper bound of the percentile interval.
        level: coverage of the interval, e.g. 0.95.
        a: mean over seeds of A's metric.
        b: mean over seeds of B's metric.
        share_above_zero: share of the resamples in which A's metric is higher.
        p_value: two-sided p-value of the resamples: twice the smaller share on one side of zero, at most 1.
        n_dialogues: number of dialogues from which resamples are drawn.
        n_seeds: number of seeds of A and of B.
    """

    estimate: float
    low: float
    high: float
    level: float
    a: float
    b: float
    share_above_zero: float
    p_value: float
    n_dialogues: int
    n_seeds: tuple[int, int]

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**asdict(self), "n_seeds": list(self.n_seeds)}


def bootstrap(
    statistics_N: FloatArray,
    values: Callable[[FloatArray], Mapping[str, FloatArray]],
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the interval of every value, by resampling N dialogues with replacement.

    A class without a turn in a resample counts as 0 in UA and macro F1, as everywhere in this package. Therefore the
    intervals of these two metrics have low lower bounds if there are only a few dialogues.

    Args:
        statistics_N: one statistic per dialogue ``[N, …]``: confusion matrices ``[N, C, C]`` or moments ``[N, S, 7]``;
            with several seeds ``[N, seed, …]``, and then ``values`` is a :func:`seed_mean`.
        values: function from sums of statistics ``[…, C, C]`` or ``[…, S, 7]`` to name → ``[…]``, e.g. the result of
            :func:`metrics_function`.
        n_resamples: number of draws.
        level: coverage of the percentile interval.
        seed: random seed of the draws.

    Raises:
        DialogueSerError: there is no labelled turn.
    """
    resampled, full = _resampled(statistics_N, n_resamples, seed)
    draws, estimates = values(resampled), values(full)
    return {name: percentile_interval(float(estimates[name]), draws[name], level) for name in estimates}


def metrics_function(metrics: Iterable[Metric]) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """Return a function from sums of statistics to key → additive metric."""
    chosen = tuple(metrics)
    return lambda statistic: {metric.key: metric.of_statistic(statistic) for metric in chosen}


def seed_mean(
    values: Callable[[FloatArray], Mapping[str, FloatArray]],
) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """Return a function from statistics ``[…, seed, C, C]`` or ``[…, seed, S, 7]`` to name → mean over seeds ``[…]``.

    Args:
        values: function from statistics to name → value, e.g. the result of :func:`metrics_function`.
    """
    return lambda statistic: {name: np.asarray(found.mean(-1)) for name, found in values(statistic).items()}


def class_f1_function(labels: Sequence[str]) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """Return a function from confusion matrices to class → F1."""

    def values(confusion: FloatArray) -> dict[str, FloatArray]:
        f1 = class_values(confusion)[2]
        return {label: f1[..., c] for c, label in enumerate(labels)}

    return values


def paired_bootstrap(
    statistics_a: FloatArray,
    statistics_b: FloatArray,
    metric: Metric,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the interval of metric(A) − metric(B), by resampling dialogues and, if there are several, seeds.

    Each draw takes N dialogues, the same ones for every system and seed. It also takes as many seeds of a system as the
    system has. The seeds of A and B are drawn independently, because equal seeds of different systems have nothing in
    common.

    Args:
        statistics_a: ``[N, C, C]`` or ``[N, S, 7]``, or ``[seed, N, …]`` for several training seeds.
        statistics_b: the same for B, with the same N dialogues in the same order. The number of seeds may differ.
        metric: an additive metric.
        n_resamples: number of draws.
        level: coverage of the percentile interval.
        seed: random seed of the draws.

    Raises:
        DialogueSerError: the shapes or the gold labels differ.
    """
    a, b = check_paired(statistics_a, statistics_b, metric)

    def scorer(statistics_SN: FloatArray) -> Callable[[FloatArray], FloatArray]:
        def scores_RS(weights_RN: FloatArray) -> FloatArray:
            n_seeds, n_dialogues, *shape = statistics_SN.shape
            flat = statistics_SN.swapaxes(0, 1).reshape(n_dialogues, -1)
            return metric.of_statistic((weights_RN @ flat).reshape(-1, n_seeds, *shape))

        return scores_RS

    return paired_difference(
        scorer(a), scorer(b), (a.shape[0], b.shape[0]), np.ones(a.shape[1], bool), n_resamples, level, seed
    )


def paired_difference(
    scores_a: Callable[[FloatArray], FloatArray],
    scores_b: Callable[[FloatArray], FloatArray],
    n_seeds: tuple[int, int],
    is_drawn_N: BoolArray,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the same as :func:`paired_bootstrap`, for systems that are given by functions.

    Args:
        scores_a: function from the number of times each dialogue was drawn ``[R, N]`` to A's metric ``[R, seed]``.
        scores_b: the same for B.
        n_seeds: number of seeds of A and of B.
        is_drawn_N: True for the dialogues that are drawn: those with a labelled turn.
        n_resamples: number of draws R.
        level: coverage of the percentile interval.
        seed: random seed of the draws.
    """
    rng = np.random.default_rng(seed)
    n_dialogues = int(is_drawn_N.sum())
    weights_RN = np.zeros((n_resamples, len(is_drawn_N)))
    weights_RN[:, is_drawn_N] = _dialogue_weights(rng, n_dialogues, n_resamples)
    values_a, values_b = (
        _mean_over_drawn_seeds(rng, scores(weights_RN), n)
        for scores, n in ((scores_a, n_seeds[0]), (scores_b, n_seeds[1]))
    )
    each_once_1N = is_drawn_N[None].astype(np.float64)
    mean_a, mean_b = (float(scores(each_once_1N).mean()) for scores in (scores_a, scores_b))
    draws = values_a - values_b
    draws[np.abs(draws) < 1e-12] = 0.0  # rounding: equal scores differ if their seeds were added in another order
    interval = percentile_interval(mean_a - mean_b, draws, level)
    return Difference(
        **interval.to_dict(),
        a=mean_a,
        b=mean_b,
        share_above_zero=float((draws > 0).mean()),
        p_value=_two_sided_p(draws),
        n_dialogues=n_dialogues,
        n_seeds=n_seeds,
    )


def _two_sided_p(draws: FloatArray) -> float:
    """Return twice the share of the draws on the rarer side of zero. Draws of zero count on both sides.

    One draw is added on that side, because a finite number of draws never shows that a share is zero.
    """
    rarer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(draws)))


def stack_seeds(statistics: Sequence[FloatArray]) -> FloatArray:
    """Return statistics ``[seed, N, …]`` from one array ``[N, …]`` per seed.

    Raises:
        DialogueSerError: there is no seed, or the seeds differ in dialogues, classes or dimensions.
    """
    if not statistics or len({x.shape for x in statistics}) != 1:
        shapes = ", ".join(str(x.shape) for x in statistics) or "none"
        raise DialogueSerError(f"seeds cover different dialogues or classes ({shapes}); evaluate them on one split")
    return np.stack(statistics)


def check_paired(statistics_a: FloatArray, statistics_b: FloatArray, metric: Metric) -> tuple[FloatArray, FloatArray]:
    """Return both statistics as ``[seed, N, …]`` of the N dialogues with labelled turns, after a check that they match.

    Raises:
        DialogueSerError: the shapes or the gold labels differ, or there is no labelled turn.
    """
    a, b = (x[None] if x.ndim == 3 else x for x in (statistics_a, statistics_b))
    if a.shape[1:] != b.shape[1:]:
        raise DialogueSerError(
            f"A has {a.shape[1]} dialogues × {a.shape[2]} classes, B has {b.shape[1]} × {b.shape[2]}; "
            "compare systems on the same split and label set"
        )
    gold = metric.gold_of(a[0])
    if any((metric.gold_of(x) != gold).any() for x in (*a, *b)):
        raise DialogueSerError(
            "A and B have different gold labels in some dialogues; evaluate both on the same version of the corpus"
        )
    # Dialogues without labelled turns are left out, because they would only make the resamples smaller.
    is_kept = a[0].any((1, 2))
    if not is_kept.any():
        raise DialogueSerError("no labelled turn to resample; use a labelled split")
    return a[:, is_kept], b[:, is_kept]


def percentile_interval(estimate: float, draws: FloatArray, level: float) -> Interval:
    """Return the percentile interval of an estimate, from its values in the resamples."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), level=level)


def _mean_over_drawn_seeds(rng: np.random.Generator, values_RS: FloatArray, n_seeds: int) -> FloatArray:
    """Draw seeds with replacement in every resample and return the mean of their values ``[R]``."""
    seed_weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=values_RS.shape[0]) / n_seeds
    means: FloatArray = (values_RS * seed_weights).sum(-1)
    return means


def _dialogue_weights(rng: np.random.Generator, n_dialogues: int, n_resamples: int) -> FloatArray:
    """Return how often each dialogue is drawn in each resample ``[R, N]``."""
    return rng.multinomial(n_dialogues, np.full(n_dialogues, 1 / n_dialogues), size=n_resamples).astype(np.float64)


def _resampled(statistics_N: FloatArray, n_resamples: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return the summed statistics of every resample ``[R, …]``, and those of the data without resampling ``[…]``."""
    full: FloatArray = statistics_N.sum(0)
    if not full.any():
        raise DialogueSerError("no labelled turn to resample; use a labelled split")
    # Dialogues without labelled turns are never drawn, because they would only make the resamples smaller.
    kept = statistics_N[statistics_N.reshape(len(statistics_N), -1).any(1)]
    weights = _dialogue_weights(np.random.default_rng(seed), kept.shape[0], n_resamples)
    return (weights @ kept.reshape(kept.shape[0], -1)).reshape(-1, *full.shape), full
