"""Scores of a cross-validation: over all folds' test turns together, per fold, per speaker and other parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dialogue_ser.evaluation.selection import mean_std
from dialogue_ser.metrics.intervals import intervals
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.tasks.base import Task


def scores_over_folds(
    frame: pd.DataFrame, task: Task, n_resamples: int = 2000, extra: Sequence[str] = ()
) -> dict[str, Any]:
    """What a table of predictions of all folds says.

    Args:
        frame: columns of predictions.parquet and ``fold``; splits dev and test.
        task: what was predicted.
        n_resamples: draws of folds for the intervals.
        extra: further metrics that a run names.

    Returns:
        ``pooled`` (all test turns as one set, see :meth:`~dialogue_ser.tasks.base.Task.scores`), ``intervals`` (95 %,
        of the scores), the intervals of each class or dimension, ``interval_over`` (what was drawn: folds, since turns
        of one speaker are no independent draws; dialogues where there is one fold), ``fold_mean`` (score → mean, std,
        n, values), ``dev`` (all dev turns as one set) and ``speakers`` (speaker → n and the headline scores).

    Raises:
        DialogueSerError: no labelled turn in some fold.
    """
    predictions = predictions_of(frame)
    test, dev = predictions.split("test"), predictions.split("dev")
    fold_N, names = pd.factorize(test.frame["fold"])
    each = [task.scores(test.rows(fold_N == number), extra) for number in range(len(names))]
    group_N = fold_N.astype(np.int64) if len(names) > 1 else test.dialogue_N
    metrics = task.metrics(extra)
    return {
        "pooled": task.scores(test, extra),
        "intervals": {
            key: interval.to_dict()
            for key, interval in intervals(test, metrics.values(), n_resamples, group_N=group_N).items()
        },
        **task.interval_details(test.statistics(group_N), n_resamples, 0.95, 0),
        "interval_over": "folds" if len(names) > 1 else "dialogues",
        "fold_mean": _fold_means(each, list(metrics)),
        "dev": task.scores(dev, extra),
        "speakers": scores_by(test, test.frame["speaker"], task),
    }


def scores_by(predictions: Predictions, groups: "pd.Series[Any]", task: Task) -> dict[str, dict[str, Any]]:
    """Group (speaker, session, …) in sorted order → n and the headline scores.

    Args:
        predictions: turns; groups without a labelled one are left out.
        groups: group of every turn; none (NaN) belongs to no group.
        task: what was predicted.
    """
    found = {}
    for name in sorted(groups.dropna().unique()):
        rows = predictions.rows((groups == name).to_numpy())
        if rows.has_gold:
            values = {key: rows.value(METRICS[key]) for key in task.headline}
            found[str(name)] = {"n": int(rows.is_labelled_N.sum()), **values}
    return found


def _fold_means(each: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, Any]:
    """Mean ± std of every metric over the folds that have it (AUC needs two classes)."""
    values = {key: [one[key] for one in each if one[key] is not None] for key in keys}
    return {key: mean_std(found).to_dict() for key, found in values.items() if found}
