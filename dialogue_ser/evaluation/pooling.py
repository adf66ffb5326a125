"""Scores of a cross-validation: over all folds' test turns together, per fold, per speaker and other parts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dialogue_ser.evaluation.protocols import mean_std
from dialogue_ser.metrics.averages import AVERAGES, average_values, class_f05, left_out_indices, micro_f1
from dialogue_ser.metrics.bootstrap import bootstrap, bootstrap_class_f1
from dialogue_ser.metrics.predictions import PROBABILITY_PREFIX
from dialogue_ser.metrics.roc import macro_auc, roc_curves
from dialogue_ser.metrics.scores import FloatArray, IntArray, confusion_matrix, encode, from_confusion, metric_values

#: Name in scores.json → name in Scores. UA and WA are what speech emotion papers print.
NAMES = {"ua": "uar", "wa": "accuracy", "macro_f1": "macro_f1", "weighted_f1": "weighted_f1"}


def pooled_scores(
    frame: pd.DataFrame, labels: Sequence[str], n_resamples: int = 2000, leave_out: Sequence[str] = ()
) -> dict[str, Any]:
    """What a table of predictions of all folds says.

    Args:
        frame: columns of predictions.parquet and ``fold``; splits dev and test.
        labels: classes in order.
        n_resamples: draws of folds for the intervals.
        leave_out: classes that micro F1 leaves out; without any there is no micro F1.

    Returns:
        ``pooled`` (all test turns as one set, see :func:`scores_of`), ``intervals`` and ``class_intervals`` (95 %, of
        the scores and of each class's F1), ``interval_over`` (what was drawn: folds, since turns of one speaker are no
        independent draws; dialogues where there is one fold), ``fold_mean`` (score → mean, std, n, values), ``dev``
        (all dev turns as one set) and ``speakers`` (speaker → n and the scores of NAMES).

    Raises:
        DialogueSerError: no labelled turn in some fold.
    """
    test, dev = (frame[frame["split"] == split] for split in ("test", "dev"))
    names = list(dict.fromkeys(frame["fold"]))
    each = [scores_of(test[test["fold"] == name], labels, leave_out) for name in names]
    unit = "fold" if len(names) > 1 else "dialogue_id"
    stacked = np.stack([_confusion(rows, labels) for _, rows in test.groupby(unit, sort=False)]).astype(np.float64)
    values = partial(_confusion_values, leave_out=left_out_indices(leave_out, labels))
    class_intervals = bootstrap_class_f1(stacked, n_resamples)
    return {
        "pooled": scores_of(test, labels, leave_out),
        "intervals": {name: one.to_dict() for name, one in bootstrap(stacked, n_resamples, values=values).items()},
        "class_intervals": {label: one.to_dict() for label, one in zip(labels, class_intervals, strict=True)},
        "interval_over": "folds" if len(names) > 1 else "dialogues",
        "fold_mean": _fold_means(each),
        "dev": scores_of(dev, labels, leave_out),
        "speakers": scores_by(test, test["speaker"], labels),
    }


def scores_of(frame: pd.DataFrame, labels: Sequence[str], leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Scores of some turns.

    Args:
        frame: columns gold, predicted and ``p_<class>``.
        labels: classes in order.
        leave_out: classes that micro F1 leaves out.

    Returns:
        ua, wa, every average of AVERAGES, micro_f1 (only with ``leave_out``), auc (one against the rest, mean over the
        classes that occur; None where only one does), n, per_class (f05 and auc too) and confusion (row = gold).

    Raises:
        DialogueSerError: no labelled turn.
    """
    confusion = _confusion(frame, labels)
    found = from_confusion(confusion, labels).to_dict()
    values = _confusion_values(confusion, leave_out=left_out_indices(leave_out, labels))
    probabilities_NC = frame[[PROBABILITY_PREFIX + label for label in labels]].to_numpy(dtype=np.float64)
    curves = roc_curves(probabilities_NC, encode(frame["gold"].astype(object), labels), labels)
    f05 = class_f05(confusion)
    per_class = {
        label: {**found["per_class"][label], "f05": float(f05[i]), "auc": None if curve is None else curve.auc}
        for i, (label, curve) in enumerate(curves.items())
    }
    return {
        **{name: float(value) for name, value in values.items()},
        "auc": macro_auc(curves),
        "n": found["n"],
        "per_class": per_class,
        "confusion": found["confusion"],
    }


def scores_by(frame: pd.DataFrame, groups: "pd.Series[Any]", labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Group (speaker, session, …) in sorted order → n and the scores of NAMES.

    Args:
        frame: turns; groups without a labelled one are left out.
        groups: group of every turn; none (NaN) belongs to no group.
        labels: classes in order.
    """
    found = {}
    for name, rows in frame[frame["gold"].notna()].groupby(groups):
        scores = from_confusion(_confusion(rows, labels), labels)
        found[str(name)] = {"n": scores.n, **{key: getattr(scores, own) for key, own in NAMES.items()}}
    return found


def _fold_means(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean ± std of every score over the folds that have it (AUC needs two classes)."""
    values = {name: [one[name] for one in each if one[name] is not None] for name in each[0] if _is_score(name)}
    return {name: mean_std(found).to_dict() for name, found in values.items() if found}


def _is_score(name: str) -> bool:
    return name in NAMES or name in AVERAGES or name in ("auc", "micro_f1")


def _confusion_values(confusion: npt.NDArray[Any], leave_out: Sequence[int]) -> dict[str, FloatArray]:
    """ua, wa, the averages and, where classes are left out, micro_f1, each ``[…]``, of ``[…, C, C]``."""
    metrics = metric_values(confusion)
    left_out = {"micro_f1": micro_f1(confusion, leave_out)} if leave_out else {}
    return {"ua": metrics["uar"], "wa": metrics["accuracy"], **average_values(confusion), **left_out}


def _confusion(frame: pd.DataFrame, labels: Sequence[str]) -> IntArray:
    gold_N, predicted_N = (encode(frame[column].astype(object), labels) for column in ("gold", "predicted"))
    return confusion_matrix(gold_N, predicted_N, len(labels))
