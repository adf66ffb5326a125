"""Scores of a cross-validation: over all folds' test turns together, per fold, per speaker."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dialogue_ser.evaluation.protocols import mean_std
from dialogue_ser.metrics.bootstrap import bootstrap
from dialogue_ser.metrics.scores import IntArray, confusion_matrix, encode, from_confusion

#: Name in scores.json → name in Scores. UA and WA are what speech emotion papers print.
NAMES = {"ua": "uar", "wa": "accuracy", "macro_f1": "macro_f1", "weighted_f1": "weighted_f1"}


def pooled_scores(frame: pd.DataFrame, labels: Sequence[str], n_resamples: int = 2000) -> dict[str, Any]:
    """What a table of predictions of all folds says.

    Args:
        frame: columns of predictions.parquet and ``fold``; splits dev and test.
        labels: classes in order.
        n_resamples: draws of folds for the intervals.

    Returns:
        ``pooled`` (all test turns as one set: ua, wa, macro_f1, weighted_f1, n, per_class, confusion), ``intervals``
        (the same metrics, 95 % over folds, since turns of one speaker are no independent draws), ``fold_mean`` (metric
        → mean, std, n, values), ``dev`` (all dev turns as one set) and ``speakers`` (speaker → n and metrics).
    """
    test, dev = (frame[frame["split"] == split] for split in ("test", "dev"))
    names = list(dict.fromkeys(frame["fold"]))
    folds = [test[test["fold"] == name] for name in names]
    stacked = np.stack([_confusion(fold, labels) for fold in folds]).astype(np.float64)
    intervals = bootstrap(stacked, n_resamples)
    each = [scores_of(fold, labels) for fold in folds]
    speakers = {str(name): scores_of(rows, labels) for name, rows in sorted(test.groupby("speaker"))}
    return {
        "pooled": scores_of(test, labels),
        "intervals": {name: intervals[own].to_dict() for name, own in NAMES.items()},
        "fold_mean": {name: mean_std([one[name] for one in each]).to_dict() for name in NAMES},
        "dev": scores_of(dev, labels),
        "speakers": {name: {key: row[key] for key in ("n", *NAMES)} for name, row in speakers.items()},
    }


def scores_of(frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    """ua, wa, macro_f1, weighted_f1, n, per_class and confusion (row = gold) of some turns.

    Raises:
        DialogueSerError: no labelled turn.
    """
    found = from_confusion(_confusion(frame, labels), labels).to_dict()
    return {
        **{name: found[own] for name, own in NAMES.items()},
        **{name: found[name] for name in ("n", "per_class", "confusion")},
    }


def _confusion(frame: pd.DataFrame, labels: Sequence[str]) -> IntArray:
    gold_N, predicted_N = (encode(frame[column].astype(object), labels) for column in ("gold", "predicted"))
    return confusion_matrix(gold_N, predicted_N, len(labels))
