"""Groups of turns, e.g. by speaker, shift or length, and the scores of every system in each group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dialogue_ser.evaluation.errors.suite_turns import SuiteTurns, SystemTurns
from dialogue_ser.evaluation.selection import mean_std
from dialogue_ser.metrics.bootstrap import paired_bootstrap, stack_seeds
from dialogue_ser.metrics.confusion import BoolArray, FloatArray, IntArray, class_values
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks.base import SLICE_RESAMPLES

#: A group with fewer labelled turns is small: its scores say little, so no difference is computed for it.
FEW_TURNS = 20
#: So many speakers have a group of their own; the others are one group.
MOST_SPEAKERS = 10
#: Fewer dialogues (or folds) than this cannot be drawn again in a useful way.
_FEW_DRAWN = 5
_SECOND_EDGES = (1.0, 2.0, 4.0, 8.0)
SECONDS = ("under 1 s", "1 to 2 s", "2 to 4 s", "4 to 8 s", "8 s or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """A way to divide turns into groups.

    Args:
        kind: its name, e.g. ``speaker``.
        names: the groups in their order.
        group_N: number of the group of every turn; −1 = in no group.
    """

    kind: str
    names: tuple[str, ...]
    group_N: IntArray

    def without_empty(self, is_labelled_N: BoolArray) -> "Grouping":
        """Return the grouping without groups that have no labelled turn."""
        n_G = _counts(self.group_N[is_labelled_N], len(self.names))
        new = np.full(len(self.names) + 1, -1, dtype=np.int64)
        new[:-1][n_G > 0] = np.arange(int((n_G > 0).sum()))
        names = tuple(name for name, n in zip(self.names, n_G, strict=True) if n)
        return Grouping(kind=self.kind, names=names, group_N=new[self.group_N])


def groupings(data: SuiteTurns, seconds_N: FloatArray | None = None) -> tuple[list[Grouping], list[str]]:
    """Return all groupings of the turns that have at least two groups, and a sentence on those that have not.

    Args:
        data: the turns.
        seconds_N: length of every turn in seconds, NaN if it is not known; None = none is known.
    """
    turns = data.turns
    found = []
    for kind, (names_N, order) in data.task.slices(turns).items():
        if kind == "speaker":
            found.append(_speakers(turns, names_N.tolist(), order))
        else:
            found.append(_by_name(kind, names_N.tolist(), order))
    if data.train_speakers:
        known = ["in train" if name in data.train_speakers else "not in train" for name in turns.speakers]
        found.append(_by_name("speaker_in_train", known, ("in train", "not in train")))
    if seconds_N is not None:
        bin_N = np.searchsorted(_SECOND_EDGES, seconds_N, side="right")
        found.append(Grouping(kind="turn_seconds", names=SECONDS, group_N=np.where(np.isnan(seconds_N), -1, bin_N)))
    if "fold" in turns.frame:
        folds = turns.frame["fold"].astype(str).tolist()
        found.append(_by_name("fold", folds, tuple(dict.fromkeys(folds))))
    kept = [grouping.without_empty(turns.is_labelled_N) for grouping in found]
    alone = [grouping.kind for grouping in kept if len(grouping.names) < 2]
    names = ", ".join(kind.replace("_", " ") for kind in alone)
    notes = [f"There is no table by {names}: all turns are in one group."] if alone else []
    if data.train_speakers is None:
        notes.append("Speakers that train lacks are not known in a cross-validation: train differs from fold to fold.")
    return [grouping for grouping in kept if len(grouping.names) > 1], notes


def _by_name(kind: str, names_N: Sequence[object], order: Sequence[str]) -> Grouping:
    number = {name: i for i, name in enumerate(order)}
    group_N = np.array([number.get(str(name), -1) for name in names_N], dtype=np.int64)
    return Grouping(kind=kind, names=tuple(order), group_N=group_N)


def _speakers(turns: Predictions, names_N: Sequence[object], order: Sequence[str]) -> Grouping:
    """Return a group for each of the most frequent speakers, and one for all others if there are at least two."""
    alone = _by_name("speaker", names_N, order).without_empty(turns.is_labelled_N)
    n_others = len(alone.names) - MOST_SPEAKERS
    if n_others < 2:
        return alone
    n_G = _counts(alone.group_N[turns.is_labelled_N], len(alone.names))
    frequent = np.argsort(-n_G, kind="stable")[:MOST_SPEAKERS]
    new = np.full(len(alone.names) + 1, MOST_SPEAKERS, dtype=np.int64)
    new[frequent] = np.arange(MOST_SPEAKERS)
    new[-1] = -1
    names = (*(alone.names[i] for i in frequent), f"others ({n_others} speakers)")
    return Grouping(kind="speaker", names=names, group_N=new[alone.group_N])


def grouping_scores(data: SuiteTurns, grouping: Grouping, pair: Sequence[SystemTurns]) -> dict[str, Any]:
    """Return what errors.json says about one grouping.

    Args:
        data: the turns and the systems.
        grouping: the groups.
        pair: two systems whose difference is computed with its interval; fewer = no difference.

    Returns:
        ``kind``; ``groups`` (name, n, dialogues, is_small); ``scores`` (system → metric → a mean with std and values
        for each group); ``differences`` (for each group first minus second system of the pair, with its paired
        interval; None for a small group).
    """
    is_labelled_N, dialogue_N = data.turns.is_labelled_N, data.turns.dialogue_N
    groups = []
    for number, name in enumerate(grouping.names):
        is_in_N = is_labelled_N & (grouping.group_N == number)
        n = int(is_in_N.sum())
        n_dialogues = len(np.unique(dialogue_N[is_in_N]))
        groups.append({"name": name, "n": n, "dialogues": n_dialogues, "is_small": n < FEW_TURNS})
    return {
        "kind": grouping.kind,
        "groups": groups,
        "scores": {system.label: _scores(system, grouping) for system in data.systems},
        "differences": [
            None if group["is_small"] or len(pair) < 2 else _difference(data, grouping.group_N == number, pair)
            for number, group in enumerate(groups)
        ],
    }


def _scores(system: SystemTurns, grouping: Grouping) -> dict[str, list[Any]]:
    """Return metric → its mean over seeds in each group."""
    n_groups = len(grouping.names)
    found = {}
    statistics = [_statistics(table, grouping.group_N, n_groups) for table in system.tables]
    for metric in (METRICS[key] for key in system.task.headline):
        values = [metric.of_statistic(one) for one in statistics]
        found[metric.key] = [mean_std([float(value[g]) for value in values]).to_dict() for g in range(n_groups)]
    return found


def _statistics(table: Predictions, group_N: IntArray, n_groups: int) -> FloatArray:
    """Return one statistic for each group. Turns in no group (−1) get a place at the end, which is cut off."""
    found = table.statistics(np.where(group_N < 0, n_groups, group_N))[:n_groups]
    missing = np.zeros((n_groups - len(found), *found.shape[1:]))
    return np.concatenate([found, missing])


def _difference(data: SuiteTurns, is_in_N: BoolArray, pair: Sequence[SystemTurns]) -> dict[str, Any] | None:
    """Return the difference of two systems in a group with its interval; None if too few dialogues can be drawn."""
    drawn = _drawn_statistics(data, is_in_N, pair)
    metric = METRICS[data.task.default_metric]
    return None if drawn is None else paired_bootstrap(*drawn, metric, SLICE_RESAMPLES).to_dict()


def item_differences(data: SuiteTurns, pair: Sequence[SystemTurns]) -> list[dict[str, Any] | None]:
    """Return the difference of two systems in F1 of each class, or in CCC of each dimension, with its paired interval.

    It is None for a class or dimension with few turns, and for all if there is no pair.
    """
    names = data.task.names
    drawn = _drawn_statistics(data, data.turns.is_labelled_N, pair) if len(pair) == 2 else None
    if drawn is None:
        return [None] * len(names)
    if data.task.gives_probabilities:
        parts = [(drawn, Metric(key=name, heading=name, function=partial(_f1_of_class, c), needs="confusion"))
                 for c, name in enumerate(names)]  # fmt: skip
        n_S = drawn[0][0].sum((0, 2))
    else:
        metric = METRICS[data.task.default_metric]
        parts = [((drawn[0][..., [s], :], drawn[1][..., [s], :]), metric) for s in range(len(names))]
        n_S = drawn[0][0].sum(0)[:, 0]
    return [
        paired_bootstrap(*statistics, metric, SLICE_RESAMPLES).to_dict() if n >= FEW_TURNS else None
        for (statistics, metric), n in zip(parts, n_S, strict=True)
    ]


def _f1_of_class(number: int, confusion: FloatArray) -> FloatArray:
    found: FloatArray = class_values(confusion)[2][..., number]
    return found


def _drawn_statistics(
    data: SuiteTurns, is_in_N: BoolArray, pair: Sequence[SystemTurns]
) -> tuple[FloatArray, FloatArray] | None:
    """Return the statistics of what is drawn again, of both systems ``[seed, drawn, …]``; None if there are too few.

    Dialogues are drawn. In a cross-validation folds are drawn, as in the table of the suite, because turns of one
    speaker are not independent.
    """
    chosen_N = is_in_N & data.turns.is_labelled_N
    unit_N = np.full(len(chosen_N), -1, dtype=np.int64)
    drawn_N = _fold_N(data) if data.contents.protocol == "crossval" else data.turns.dialogue_N
    units, unit_N[chosen_N] = np.unique(drawn_N[chosen_N], return_inverse=True)
    if len(units) < _FEW_DRAWN:
        return None
    a, b = (stack_seeds([_statistics(table, unit_N, len(units)) for table in system.tables]) for system in pair)
    return a, b


def _fold_N(data: SuiteTurns) -> IntArray:
    return np.unique(data.turns.frame["fold"].astype(str), return_inverse=True)[1].astype(np.int64)


def _counts(group_N: IntArray, n_groups: int) -> IntArray:
    return np.bincount(group_N[group_N >= 0], minlength=n_groups).astype(np.int64)


def averaged_details(system: SystemTurns) -> dict[str, Any]:
    """Return the scores of a system: metrics, scores of classes or dimensions, and confusions, averaged over seeds.

    Returns:
        ``scores`` (metric → mean), ``items`` (class or dimension → number → mean, and its turns) and ``confusion``
        (mean counts, row = gold; None for a regression).
    """
    task = system.task
    statistics = [table.statistics().sum(0) for table in system.tables]
    found = [task.item_scores(statistic) for statistic in statistics]
    metrics = {name: [float(METRICS[name].of_statistic(one)) for one in statistics] for name in task.headline}
    return {
        "scores": {name: mean_std(values).to_dict() for name, values in metrics.items()},
        "items": {name: _mean_of_each([one[name] for one in found]) for name in task.names},
        "confusion": np.mean(statistics, axis=0).tolist() if task.gives_probabilities else None,
    }


def _mean_of_each(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of each number over seeds. A number of turns that every seed has stays a whole number."""
    found: dict[str, Any] = {}
    for name in seeds[0]:
        values = [one[name] for one in seeds]
        if name in ("support", "n"):
            found[name] = values[0]
        else:
            found[name] = mean_std(list(map(float, values))).to_dict() if None not in values else None
    return found
