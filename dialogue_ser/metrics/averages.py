"""Precision, recall and F-scores averaged over classes, and micro F1 without some of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.metrics.scores import FloatArray, class_values

#: Weight of recall against precision that document E1 takes, so that precision counts for more.
BETA = 0.5
#: Averages over all classes: plainly (macro), or by gold support (weighted). Macro recall is UA, weighted recall is WA.
AVERAGES = tuple(f"{how}_{what}" for what in ("precision", "recall", "f1", "f05") for how in ("macro", "weighted"))


def f_beta(precision: npt.ArrayLike, recall: npt.ArrayLike, beta: float) -> FloatArray:
    """F_β = (1 + β²)·P·R / (β²·P + R), elementwise; 0 where both are 0 (document E1).

    >>> float(f_beta(0.5, 1.0, 1.0)), round(float(f_beta(0.5, 1.0, 0.5)), 4)
    (0.6666666666666666, 0.5556)
    """
    p, r = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    below = beta**2 * p + r
    found: FloatArray = np.divide((1 + beta**2) * p * r, below, out=np.zeros(np.broadcast(p, r).shape), where=below > 0)
    return found


def class_f05(confusion: npt.NDArray[Any]) -> FloatArray:
    """F0.5 per class ``[…, C]`` of confusion matrices ``[…, C, C]``, row = gold."""
    precision, recall, _ = class_values(confusion)
    return f_beta(precision, recall, BETA)


def average_values(confusion: npt.NDArray[Any]) -> dict[str, FloatArray]:
    """Every average of AVERAGES, each ``[…]``, of confusion matrices ``[…, C, C]``; 0/0 counts as 0.

    F-scores are averages of the classes' F-scores, not F-scores of average precision and recall.
    """
    precision, recall, f1 = class_values(confusion)
    support = confusion.sum(-1).astype(np.float64)
    turns = np.asarray(support.sum(-1))
    values = {"precision": precision, "recall": recall, "f1": f1, "f05": f_beta(precision, recall, BETA)}
    found = {}
    for what, value in values.items():
        found[f"macro_{what}"] = value.mean(-1)
        weighted = np.asarray((value * support).sum(-1))
        found[f"weighted_{what}"] = np.divide(weighted, turns, out=np.zeros(turns.shape), where=turns > 0)
    return found


def micro_f1(confusion: npt.NDArray[Any], leave_out: Sequence[int] = ()) -> FloatArray:
    """F1 of hits, misses and false alarms counted over all classes but some, ``[…]``.

    DailyDialog's score leaves out the class without emotion: a turn of it that is predicted as an emotion is a false
    alarm, an emotion predicted as it is a miss, and its own hits count nowhere. Without leaving out any it is accuracy.

    Args:
        confusion: ``[…, C, C]``, row = gold.
        leave_out: class indices.
    """
    kept = [c for c in range(confusion.shape[-1]) if c not in set(leave_out)]
    hits = np.einsum("...ii->...i", confusion)[..., kept].sum(-1).astype(np.float64)
    gold = confusion.sum(-1)[..., kept].sum(-1).astype(np.float64)
    predicted = confusion.sum(-2)[..., kept].sum(-1).astype(np.float64)
    below = np.asarray(gold + predicted)
    found: FloatArray = np.divide(2 * hits, below, out=np.zeros(below.shape), where=below > 0)
    return found


def left_out_indices(leave_out: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """Indices of the classes that micro F1 leaves out.

    Raises:
        ConfigError: names that are no class, or every class.
    """
    problems = [f"data.leave_out: {unknown_name('label', name, labels)}" for name in leave_out if name not in labels]
    if not problems and set(labels) <= set(leave_out):
        problems = ["data.leave_out: names every class, so that nothing is left to score; keep one"]
    if problems:
        raise ConfigError(*problems)
    return tuple(labels.index(name) for name in leave_out)
