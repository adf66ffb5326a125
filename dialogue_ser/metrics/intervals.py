"""Intervals of any metric of a table of predictions, and of differences between tables; additive metrics or not.

An additive metric of all resamples is one matrix product (:mod:`~dialogue_ser.metrics.bootstrap`). A function of turns,
such as a user's own, is called once per resample, on the drawn dialogues' turns.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import (
    Difference,
    Interval,
    bootstrap,
    paired_bootstrap,
    paired_difference,
    percentile_interval,
    stack_seeds,
    values_of,
)
from dialogue_ser.metrics.confusion import FloatArray, IntArray
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.significance import TestResult, randomisation_test
from dialogue_ser.metrics.table import Metric

#: Resamples of metrics that are functions of turns: each is a call, which may take milliseconds.
MAX_CALLS = 200


def intervals(
    predictions: Predictions,
    metrics: Iterable[Metric],
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    group_N: IntArray | None = None,
) -> dict[str, Interval]:
    """Interval of every metric that has one, by its key.

    Metrics of probabilities have none (too slow to draw), nor have functions that are not defined on some resample.

    Args:
        predictions: of one split.
        metrics: of its kind of task.
        n_resamples: draws; at most MAX_CALLS for functions of turns.
        level: coverage.
        seed: of the draws.
        group_N: what is drawn: group 0, 1, … of every turn; None = dialogues.

    Raises:
        DialogueSerError: no labelled turn.
    """
    chosen = list(metrics)
    groups_N = predictions.dialogue_N if group_N is None else group_N
    additive = [metric for metric in chosen if metric.is_additive]
    found = bootstrap(predictions.statistics(groups_N), values_of(additive), n_resamples, level, seed)
    for metric in (metric for metric in chosen if metric.needs == "turns"):
        estimate = predictions.value(metric)
        if estimate is not None:
            draw = _drawn(predictions, metric, groups_N)
            weights_RN = _weights(predictions.is_labelled_N, groups_N, min(n_resamples, MAX_CALLS), seed)
            draws = draw(weights_RN)
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
    """Metric of system A minus metric of system B with its interval, and the randomisation test.

    Args:
        a: one split's table per seed of A.
        b: the same of B; the same turns in any order.
        metric: of their kind of task.
        n_resamples: draws, and swaps of the test; at most MAX_CALLS for functions of turns.
        level: coverage.
        seed: of the draws.

    Returns:
        the difference, and the test; None where A and B have other numbers of seeds, or the metric is not additive.

    Raises:
        DialogueSerError: tables over other turns, labels or gold, or a metric that is not defined on them.
    """
    reference = a[0]
    reference.check_metric(metric)
    tables_a, tables_b = ([table.aligned_to(reference) for table in tables] for tables in (a, b))
    if metric.is_additive:
        stacked_a, stacked_b = (stack_seeds([one.statistics() for one in tables]) for tables in (tables_a, tables_b))
        difference = paired_bootstrap(stacked_a, stacked_b, metric, n_resamples, level, seed)
        test = randomisation_test(stacked_a, stacked_b, metric, n_resamples, seed) if len(a) == len(b) else None
        return difference, test
    n_dialogues = int(reference.dialogue_N.max()) + 1
    difference = paired_difference(
        _of_seeds(tables_a, metric),
        _of_seeds(tables_b, metric),
        (len(a), len(b)),
        n_dialogues,
        min(n_resamples, MAX_CALLS),
        level,
        seed,
    )
    return difference, None


def _of_seeds(tables: Sequence[Predictions], metric: Metric) -> Callable[[FloatArray], FloatArray]:
    draws = [_drawn(table, metric, table.dialogue_N) for table in tables]

    def values(weights_RN: FloatArray) -> FloatArray:
        found = np.stack([draw(weights_RN) for draw in draws], axis=-1)
        if not np.isfinite(found).all():
            raise DialogueSerError(
                f"{tables[0].origin}: metric {metric.key} is not defined on its turns, or on a resample of their "
                "dialogues, so it cannot be compared; let its function give a number for every set of turns"
            )
        return found

    return values


def _drawn(predictions: Predictions, metric: Metric, group_N: IntArray) -> Callable[[FloatArray], FloatArray]:
    """How often each group was drawn ``[R, group]`` → the metric of the drawn turns ``[R]``, NaN where undefined."""
    order_N = np.argsort(group_N, kind="stable")
    members = np.split(order_N, np.cumsum(np.bincount(group_N))[:-1])

    def values(weights_RN: FloatArray) -> FloatArray:
        found = []
        for weights_N in weights_RN.astype(np.int64):
            rows_N = np.concatenate([np.tile(members[g], weights_N[g]) for g in np.flatnonzero(weights_N)])
            value = predictions.rows(rows_N).value(metric)
            found.append(np.nan if value is None else value)
        return np.array(found)

    return values


def _weights(
    is_labelled_N: "np.typing.NDArray[np.bool_]", group_N: IntArray, n_resamples: int, seed: int
) -> FloatArray:
    """How often each group is drawn ``[R, group]``; groups without a labelled turn never are."""
    has_label = np.bincount(group_N, is_labelled_N) > 0
    share = has_label / has_label.sum()
    drawn = np.random.default_rng(seed).multinomial(int(has_label.sum()), share, size=n_resamples)
    return drawn.astype(np.float64)
