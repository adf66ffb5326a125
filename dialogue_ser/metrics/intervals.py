"""Intervals of any metric of a table of predictions, and of the difference between the tables of two systems.

An additive metric is computed for all resamples by one matrix product (:mod:`~dialogue_ser.metrics.bootstrap`). Other
metrics are functions of turns, e.g. a metric that you wrote. They are called once per resample, with the turns of the
drawn dialogues.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import (
    Difference,
    Interval,
    bootstrap,
    metrics_function,
    paired_bootstrap,
    paired_difference,
    percentile_interval,
    stack_seeds,
)
from dialogue_ser.metrics.confusion import FloatArray, IntArray
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.significance import TestResult, randomisation_test
from dialogue_ser.metrics.table import Metric

#: Largest number of resamples for functions of turns. Each resample is one call, which may take milliseconds.
MAX_CALLS = 200


def intervals(
    predictions: Predictions,
    metrics: Iterable[Metric],
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    group_N: IntArray | None = None,
) -> dict[str, Interval]:
    """Return key → interval of every metric that has one.

    Metrics of probabilities have no interval, because resampling them would be too slow. A function that is not
    defined on some resample has no interval either.

    Args:
        predictions: predictions of one split.
        metrics: metrics for the kind of task of the predictions.
        n_resamples: number of draws; at most MAX_CALLS for functions of turns.
        level: coverage of the intervals.
        seed: random seed of the draws.
        group_N: number of the group of every turn (0, 1, …). Groups are drawn; None = dialogues are drawn.

    Raises:
        DialogueSerError: there is no labelled turn.
    """
    chosen = list(metrics)
    groups_N = predictions.dialogue_N if group_N is None else group_N
    additive = [metric for metric in chosen if metric.is_additive]
    found = bootstrap(predictions.statistics(groups_N), metrics_function(additive), n_resamples, level, seed)
    for metric in (metric for metric in chosen if metric.needs == "turns"):
        estimate = predictions.value(metric)
        if estimate is not None:
            weights_RN = _group_weights(predictions.is_labelled_N, groups_N, min(n_resamples, MAX_CALLS), seed)
            draws = _resampled_metric(predictions, metric, groups_N)(weights_RN)
            if np.isfinite(draws).all():
                found[metric.key] = percentile_interval(estimate, draws, level)
    return {metric.key: found[metric.key] for metric in chosen if metric.key in found}


def paired_comparison(
    a: Sequence[Predictions],
    b: Sequence[Predictions],
    metric: Metric,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Difference, TestResult | None]:
    """Return the metric of system A minus the metric of system B with its interval, and the randomisation test.

    Args:
        a: one table of one split per seed of A.
        b: one table per seed of B, with the same turns in any order.
        metric: metric for their kind of task.
        n_resamples: number of draws, and of swaps of the test; at most MAX_CALLS for functions of turns.
        level: coverage of the interval.
        seed: random seed of the draws.

    Returns:
        the difference, and the test. The test is None if A and B have different numbers of seeds, or if the metric is
        not additive.

    Raises:
        DialogueSerError: the tables have different turns, labels or gold, or the metric is not defined on them.
    """
    reference = a[0]
    reference.check_metric(metric)
    tables_a, tables_b = ([table.aligned_to(reference) for table in tables] for tables in (a, b))
    if metric.is_additive:
        sums_a, sums_b = (stack_seeds([one.statistics() for one in tables]) for tables in (tables_a, tables_b))
        difference = paired_bootstrap(sums_a, sums_b, metric, n_resamples, level, seed)
        test = randomisation_test(sums_a, sums_b, metric, n_resamples, seed) if len(a) == len(b) else None
        return difference, test
    has_label_N = np.bincount(reference.dialogue_N, reference.is_labelled_N) > 0
    difference = paired_difference(
        _resampled_metric_of_seeds(tables_a, metric),
        _resampled_metric_of_seeds(tables_b, metric),
        (len(a), len(b)),
        has_label_N,
        min(n_resamples, MAX_CALLS),
        level,
        seed,
    )
    return difference, None


def _resampled_metric_of_seeds(tables: Sequence[Predictions], metric: Metric) -> Callable[[FloatArray], FloatArray]:
    """Return a function from the counts of drawn dialogues ``[R, N]`` to the metric of each seed ``[R, seed]``."""
    functions = [_resampled_metric(table, metric, table.dialogue_N) for table in tables]

    def values(weights_RN: FloatArray) -> FloatArray:
        found = np.stack([function(weights_RN) for function in functions], axis=-1)
        if not np.isfinite(found).all():
            raise DialogueSerError(
                f"{tables[0].origin}: metric {metric.key} is not defined on its turns, or on a resample of their "
                "dialogues, so it cannot be compared; let its function return a number for every set of turns"
            )
        return found

    return values


def _resampled_metric(
    predictions: Predictions, metric: Metric, group_N: IntArray
) -> Callable[[FloatArray], FloatArray]:
    """Return a function from the counts of drawn groups ``[R, group]`` to the metric of the drawn turns ``[R]``.

    The metric is NaN where it is not defined.
    """
    turns = predictions.for_functions_of_turns()
    order_N = np.argsort(group_N, kind="stable")
    members = np.split(order_N, np.cumsum(np.bincount(group_N))[:-1])

    def values(weights_RN: FloatArray) -> FloatArray:
        found = []
        for weights_N in weights_RN.astype(np.int64):
            rows_N = np.concatenate([np.tile(members[g], weights_N[g]) for g in np.flatnonzero(weights_N)])
            value = turns.rows(rows_N).value(metric)
            found.append(np.nan if value is None else value)
        return np.array(found)

    return values


def _group_weights(
    is_labelled_N: "np.typing.NDArray[np.bool_]", group_N: IntArray, n_resamples: int, seed: int
) -> FloatArray:
    """Return how often each group is drawn ``[R, group]``. Groups without a labelled turn are never drawn."""
    has_label = np.bincount(group_N, is_labelled_N) > 0
    share = has_label / has_label.sum()
    drawn = np.random.default_rng(seed).multinomial(int(has_label.sum()), share, size=n_resamples)
    return drawn.astype(np.float64)
