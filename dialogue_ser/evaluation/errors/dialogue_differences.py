"""The dialogues in which two systems differ most."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dialogue_ser.evaluation.errors.agreement import is_right
from dialogue_ser.evaluation.errors.suite_turns import SuiteTurns, SystemTurns
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import ClassPredictions, Predictions, ValuePredictions

#: A dialogue with fewer turns comes after all others: it shows no context.
FEW_TURNS = 3


def turn_differences(data: SuiteTurns, pair: Sequence[SystemTurns]) -> FloatArray:
    """Return how much two systems differ at every turn ``[N]``, by their numbers averaged over seeds.

    For classes it is the total variation: half the sum of |p − q| over classes. It is 0 if both give the same
    probabilities, and 1 if no class has a probability in both. It is the largest difference in the probability of any
    set of classes. For values it is the mean of |a − b| over dimensions, in standard deviations of the gold values.
    """
    distance_NS = np.abs(pair[0].numbers_NS - pair[1].numbers_NS)
    if data.task.gives_probabilities:
        found: FloatArray = distance_NS.sum(-1) / 2
        return found
    assert isinstance(data.turns, ValuePredictions)
    scale_S = np.asarray(np.ma.masked_invalid(data.turns.gold_NS).std(0).filled(0.0))
    scaled: FloatArray = (distance_NS / np.where(scale_S > 0, scale_S, 1.0)).mean(-1)
    return scaled


def differing_dialogues(data: SuiteTurns, pair: Sequence[SystemTurns], top: int) -> dict[str, Any]:
    """Return what errors.json says about the dialogues of two systems.

    The difference of a dialogue is the mean over its turns. The dialogues with the largest difference come first, those
    with fewer than FEW_TURNS turns at the end.

    Args:
        data: the turns.
        pair: the two systems.
        top: number of dialogues that are given with their turns.

    Returns:
        ``systems`` (the two labels), ``all`` (every dialogue: id, turns, difference, labelled turns, right turns of
        both systems) and ``shown`` (the first ones, with ``lines``: one entry for each turn).
    """
    difference_N, dialogue_N = turn_differences(data, pair), data.turns.dialogue_N
    n_turns_D = np.bincount(dialogue_N)
    mean_D = np.bincount(dialogue_N, difference_N) / n_turns_D
    order = np.lexsort((-mean_D, n_turns_D < FEW_TURNS))
    n_labelled_D = np.bincount(dialogue_N, data.turns.is_labelled_N).astype(int)
    scored = pair if data.task.gives_probabilities else ()
    right = [np.bincount(dialogue_N, is_right(one)).astype(int) for one in scored]
    first_D = np.unique(dialogue_N, return_index=True)[1]
    ids = data.turns.frame["dialogue_id"].astype(str).to_numpy()[first_D]
    described = [
        {
            "dialogue": str(ids[d]),
            "turns": int(n_turns_D[d]),
            "labelled": int(n_labelled_D[d]),
            "difference": float(mean_D[d]),
            "right": [int(one[d]) for one in right] or None,
        }
        for d in order
    ]
    lines = _Lines(data, pair, difference_N)
    shown = [
        {**one, "lines": lines.of(np.flatnonzero(dialogue_N == d))}
        for one, d in zip(described[:top], order[:top], strict=True)
    ]
    return {"systems": [system.label for system in pair], "all": described, "shown": shown}


class _Lines:
    """Makes the entries of single turns."""

    def __init__(self, data: SuiteTurns, pair: Sequence[SystemTurns], difference_N: FloatArray) -> None:
        self._data, self._pair, self._difference_N = data, pair, difference_N
        self._frame = data.turns.frame
        self._gold = gold_entries(data.turns)
        self._n_right = [_seeds_right(system) for system in pair]

    def of(self, rows: Any) -> list[dict[str, Any]]:
        """Return the entries of some turns: who says what, gold, and both predictions."""
        return [self._line(int(row)) for row in rows]

    def _line(self, row: int) -> dict[str, Any]:
        text = self._frame["text"].iloc[row]
        return {
            "utterance": str(self._frame["utterance_id"].iloc[row]),
            "speaker": self._data.turns.speakers[row],
            "text": text if isinstance(text, str) and text.strip() else None,
            "gold": self._gold[row],
            "difference": float(self._difference_N[row]),
            "predictions": [self._prediction(system, row, n) for n, system in enumerate(self._pair)],
        }

    def _prediction(self, system: SystemTurns, row: int, number: int) -> dict[str, Any]:
        numbers = dict(zip(self._data.task.names, map(float, system.numbers_NS[row]), strict=True))
        if not self._data.task.gives_probabilities:
            return {"values": numbers}
        label = str(system.averaged.frame["predicted"].iloc[row])
        gold = self._gold[row]
        return {
            "label": label,
            "is_right": None if gold is None else label == gold,
            "seeds_right": None if gold is None else int(self._n_right[number][row]),
            "seeds": len(system.seeds),
            "probabilities": numbers,
        }


def gold_entries(turns: Predictions) -> list[Any]:
    """Return gold of every turn: a label, or dimension → value; None where there is none."""
    if isinstance(turns, ClassPredictions):
        return [turns.names[i] if i >= 0 else None for i in turns.gold_N]
    assert isinstance(turns, ValuePredictions)
    return [
        {name: float(value) if np.isfinite(value) else None for name, value in zip(turns.names, values, strict=True)}
        for values in turns.gold_NS
    ]


def _seeds_right(system: SystemTurns) -> Any:
    """Return for every turn how many seeds are right; for a regression nothing."""
    tables = [table for table in system.tables if isinstance(table, ClassPredictions)]
    return np.sum([table.predicted_N == table.gold_N for table in tables], axis=0) if tables else None
