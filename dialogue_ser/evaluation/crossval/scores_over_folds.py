"""Scores of a cross-validation: of the test turns of all folds together, per fold, and per speaker or other groups."""

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
    """Return the scores of a table with the predictions of all folds.

    The intervals are computed by drawing folds, because turns of one speaker are not independent. If there is only
    one fold, dialogues are drawn.

    Args:
        frame: columns of predictions.parquet and ``fold``; splits dev and test.
        task: task of the predictions.
        n_resamples: number of draws for the intervals.
        extra: further metrics of the run.

    Returns:
        ``pooled`` (scores of all test turns as one set, see :meth:`~dialogue_ser.tasks.base.Task.scores`),
        ``intervals`` (95 % intervals of these scores), the intervals of each class or dimension, ``interval_over``
        (what was drawn: folds or dialogues), ``fold_mean`` (metric → mean, std, n and values over folds), ``dev``
        (scores of all dev turns as one set) and ``speakers`` (speaker → n and the headline metrics).

    Raises:
        DialogueSerError: a fold has no labelled turn.
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
    """Return group → n and the headline metrics, sorted by group. A group is e.g. a speaker or a session.

    Args:
        predictions: predictions of the turns. Groups without a labelled turn are left out.
        groups: group of every turn; NaN = the turn belongs to no group.
        task: task of the predictions.
    """
    found = {}
    for name in sorted(groups.dropna().unique()):
        rows = predictions.rows((groups == name).to_numpy())
        if rows.has_gold:
            values = {key: rows.value(METRICS[key]) for key in task.headline}
            found[str(name)] = {"n": int(rows.is_labelled_N.sum()), **values}
    return found


def _fold_means(each: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, Any]:
    """Return metric → mean ± std over the folds where it is defined (AUC needs two classes)."""
    values = {key: [one[key] for one in each if one[key] is not None] for key in keys}
    return {key: mean_std(found).to_dict() for key, found in values.items() if found}
