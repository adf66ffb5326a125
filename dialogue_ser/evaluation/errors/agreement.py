"""Agreement: how often systems, and seeds of one system, predict the same, and how many systems are right at a turn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dialogue_ser.evaluation.errors.suite_turns import SuiteTurns, SystemTurns
from dialogue_ser.metrics.agreement import ccc, dialogue_moments
from dialogue_ser.metrics.confusion import BoolArray, FloatArray, IntArray
from dialogue_ser.metrics.predictions import ClassPredictions, ValuePredictions


def label_agreement(predicted_RN: IntArray, n_classes: int) -> dict[str, FloatArray]:
    """Return how far runs give the same labels, for all pairs of runs.

    Args:
        predicted_RN: class indices, run × turn.
        n_classes: number of classes.

    Returns:
        ``equal``: share of turns with the same label ``[R, R]``; ``kappa``: Cohen's kappa ``[R, R]``, which is
        (equal − chance) / (1 − chance), where chance follows from how often both runs give each class. It is NaN if
        both runs always give the same class.

    >>> found = label_agreement(np.array([[0, 0, 1, 1], [0, 1, 1, 1]]), 2)
    >>> found["equal"][0, 1].item(), found["kappa"][0, 1].item()
    (0.75, 0.5)
    """
    n_runs, n_turns = predicted_RN.shape
    equal_RR, chance_RR = np.zeros((n_runs, n_runs)), np.zeros((n_runs, n_runs))
    for label in range(n_classes):
        is_label_RN = (predicted_RN == label).astype(np.float64)
        share_R = is_label_RN.mean(1)
        equal_RR += is_label_RN @ is_label_RN.T / n_turns
        chance_RR += np.outer(share_R, share_R)
    kappa_RR = np.full_like(equal_RR, np.nan)
    np.divide(equal_RR - chance_RR, 1 - chance_RR, out=kappa_RR, where=chance_RR < 1 - 1e-12)
    return {"equal": equal_RR, "kappa": kappa_RR}


def value_agreement(value_RNS: FloatArray) -> dict[str, FloatArray]:
    """Return the concordance correlation (CCC) between the values of runs, the mean over dimensions ``[R, R]``.

    Args:
        value_RNS: values, run × turn × dimension.
    """
    n_runs, n_turns, _ = value_RNS.shape
    together = np.zeros(n_turns, dtype=np.int64)
    ccc_RR = np.ones((n_runs, n_runs))
    for i in range(n_runs):
        for j in range(i + 1, n_runs):
            moments = dialogue_moments(value_RNS[i], value_RNS[j], together)[0]
            ccc_RR[i, j] = ccc_RR[j, i] = float(ccc(moments).mean())
    return {"ccc": ccc_RR}


def between_systems(value_RR: FloatArray, system_R: Sequence[int]) -> list[list[float | None]]:
    """Return the mean over pairs of runs for all pairs of systems ``[S, S]``.

    On the diagonal stands the mean over pairs of different seeds of one system; None if it has one seed. A mean is None
    if none of its pairs has a value.

    >>> between_systems(np.array([[1.0, 0.8, 0.5], [0.8, 1.0, 0.7], [0.5, 0.7, 1.0]]), [0, 0, 1])
    [[0.8, 0.6], [0.6, None]]
    """
    system = np.asarray(system_R)
    value_RR = value_RR.copy()
    np.fill_diagonal(value_RR, np.nan)  # a run agrees with itself
    n_systems = int(system.max()) + 1
    found: list[list[float | None]] = []
    for a in range(n_systems):
        blocks = [value_RR[np.ix_(system == a, system == b)] for b in range(n_systems)]
        found.append([float(np.nanmean(block)) if np.isfinite(block).any() else None for block in blocks])
    return found


def agreement(data: SuiteTurns) -> dict[str, Any]:
    """Return what errors.json says about agreement on the labelled turns.

    Returns:
        measure (``equal`` and ``kappa``, or ``ccc`` for a regression) → matrix, see :func:`between_systems`; the order
        is that of the systems.
    """
    tables = [table for system in data.systems for table in system.tables]
    system_R = [number for number, system in enumerate(data.systems) for _ in system.tables]
    is_labelled_N = data.turns.is_labelled_N
    if data.task.gives_probabilities:
        predicted = np.stack([_labels(table)[is_labelled_N] for table in tables])
        found = label_agreement(predicted, data.task.n_scores)
    else:
        found = value_agreement(np.stack([_values(table)[is_labelled_N] for table in tables]))
    return {measure: between_systems(value_RR, system_R) for measure, value_RR in found.items()}


def right_turns(data: SuiteTurns) -> dict[str, Any] | None:
    """Return how many systems are right at a turn. The label of a system is that of its mean probabilities over seeds.

    Returns:
        ``n`` (labelled turns), ``n_systems``, ``histogram`` (for 0, 1, … systems: turns that so many get right),
        ``oracle`` (share of turns that at least one system gets right), ``classes`` (class → turns that all, some or no
        systems get right), ``systems`` (system → ``right``, its share of right turns; ``alone``, turns that only it
        gets right; ``alone_wrong``, turns that all others get right). None for a regression.
    """
    if not data.task.gives_probabilities:
        return None
    is_labelled_N = data.turns.is_labelled_N
    is_right_SN = np.stack([is_right(system)[is_labelled_N] for system in data.systems])
    n_systems, n = is_right_SN.shape
    n_right_N = is_right_SN.sum(0)
    gold_N = _gold(data)[is_labelled_N]
    classes = {}
    for number, name in enumerate(data.task.names):
        found_N = n_right_N[gold_N == number]
        n_all, n_none = int((found_N == n_systems).sum()), int((found_N == 0).sum())
        classes[name] = {"n": len(found_N), "all": n_all, "some": len(found_N) - n_all - n_none, "none": n_none}
    return {
        "n": n,
        "n_systems": n_systems,
        "histogram": np.bincount(n_right_N, minlength=n_systems + 1).tolist(),
        "oracle": float((n_right_N > 0).mean()),
        "classes": classes,
        "systems": {
            system.label: {
                "right": float(is_right_N.mean()),
                "alone": int((is_right_N & (n_right_N == 1)).sum()) if n_systems > 1 else 0,
                "alone_wrong": int((~is_right_N & (n_right_N == n_systems - 1)).sum()) if n_systems > 1 else 0,
            }
            for system, is_right_N in zip(data.systems, is_right_SN, strict=True)
        },
    }


def gains_and_losses(data: SuiteTurns) -> dict[str, Any]:
    """Return for every system with a reference: the turns that both, only it, only the reference, or none get right.

    The keys of a system are ``reference``, ``both``, ``gained``, ``lost`` and ``neither``. A regression has none.
    """
    if not data.task.gives_probabilities:
        return {}
    is_labelled_N = data.turns.is_labelled_N
    found = {}
    for system in (system for system in data.systems if system.reference):
        mine, theirs = (is_right(one)[is_labelled_N] for one in (system, data.system(system.reference)))
        found[system.label] = {
            "reference": system.reference,
            "both": int((mine & theirs).sum()),
            "gained": int((mine & ~theirs).sum()),
            "lost": int((~mine & theirs).sum()),
            "neither": int((~mine & ~theirs).sum()),
        }
    return found


def is_right(system: SystemTurns) -> BoolArray:
    """Return for every turn whether the label of the averaged probabilities is the gold label."""
    assert isinstance(system.averaged, ClassPredictions)
    found: BoolArray = system.averaged.predicted_N == system.averaged.gold_N
    return found


def _gold(data: SuiteTurns) -> IntArray:
    assert isinstance(data.turns, ClassPredictions)
    return data.turns.gold_N


def _labels(table: object) -> IntArray:
    assert isinstance(table, ClassPredictions)
    return table.predicted_N


def _values(table: object) -> FloatArray:
    assert isinstance(table, ValuePredictions)
    return table.predicted_NS
