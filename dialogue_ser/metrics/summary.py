"""Everything that can be said of one split's predictions, as plain JSON values: the content of ``scores.json``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import bootstrap, bootstrap_class_f1, dialogue_confusions
from dialogue_ser.metrics.calibration import calibration
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.scores import UNLABELLED, from_confusion
from dialogue_ser.metrics.slices import (
    LENGTH_EDGES,
    POSITION_EDGES,
    SHIFTS,
    bin_names,
    binned,
    dialogue_lengths,
    emotion_shift,
    turn_positions,
)

SLICE_RESAMPLES = 500


def summarise(predictions: Predictions, n_resamples: int = 2000, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Scores, intervals, slices, calibration and counts of the turns of ONE split.

    Args:
        predictions: one split.
        n_resamples: bootstrap draws of dialogues.
        level: coverage of the intervals.
        seed: of the draws.

    Returns:
        ``scores`` (see Scores.to_dict), ``intervals`` (metric → estimate, low, high, level), ``class_intervals``
        (label → the same, of F1), ``slices`` (kind → name → n, weighted_f1, low, high, accuracy, uar, macro_f1),
        ``calibration`` and ``counts``.

    Raises:
        DialogueSerError: several splits, or no labelled turn.
    """
    if len(predictions.splits) != 1:
        raise DialogueSerError(f"{predictions.origin}: summarise one split at a time, not {predictions.splits}")
    labels, confusions = predictions.labels, predictions.confusions()
    scores = from_confusion(confusions.sum(0).astype(np.int64), labels)
    intervals = bootstrap(confusions, n_resamples, level, seed)
    class_intervals = bootstrap_class_f1(confusions, n_resamples, level, seed)
    return {
        "scores": scores.to_dict(),
        "intervals": {name: interval.to_dict() for name, interval in intervals.items()},
        "class_intervals": {label: interval.to_dict() for label, interval in zip(labels, class_intervals, strict=True)},
        "slices": _slices(predictions, level, seed),
        "calibration": calibration(predictions.probabilities_NC, predictions.gold_N).to_dict(),
        "counts": {
            "turns": len(predictions),
            "labelled": scores.n,
            "dialogues": int(confusions.shape[0]),
            "speakers": len(set(predictions.speakers)),
        },
    }


def _slices(predictions: Predictions, level: float, seed: int) -> dict[str, dict[str, Any]]:
    dialogue_N, gold_N = predictions.dialogue_N, predictions.gold_N
    speakers = np.array(predictions.speakers, dtype=object)
    names, counts = np.unique(speakers.astype(str), return_counts=True)
    by_count = [str(names[i]) for i in np.lexsort((names, -counts))]
    groups: Mapping[str, tuple[npt.NDArray[np.object_], Sequence[str]]] = {
        "emotion_shift": (emotion_shift(gold_N, dialogue_N, predictions.speakers), SHIFTS),
        "turn_position": (binned(turn_positions(dialogue_N), POSITION_EDGES), bin_names(POSITION_EDGES)),
        "dialogue_length": (binned(dialogue_lengths(dialogue_N), LENGTH_EDGES), bin_names(LENGTH_EDGES)),
        "speaker": (speakers, by_count),
    }
    return {
        kind: {
            name: value
            for name in order
            # Speakers number in the hundreds: their intervals would cost more than they tell.
            if (value := _slice(predictions, members == name, level, None if kind == "speaker" else seed)) is not None
        }
        for kind, (members, order) in groups.items()
    }


def _slice(
    predictions: Predictions, is_member_N: npt.NDArray[np.bool_], level: float, seed: int | None
) -> dict[str, Any] | None:
    gold_N = np.where(is_member_N, predictions.gold_N, UNLABELLED)
    if (gold_N < 0).all():
        return None
    n_classes = len(predictions.labels)
    confusions = dialogue_confusions(gold_N, predictions.predicted_N, predictions.dialogue_N, n_classes)
    values = from_confusion(confusions.sum(0).astype(np.int64), predictions.labels).to_dict()
    row = {name: values[name] for name in ("n", "weighted_f1", "accuracy", "uar", "macro_f1")}
    if seed is not None:
        interval = bootstrap(confusions, SLICE_RESAMPLES, level, seed)["weighted_f1"]
        row |= {"low": interval.low, "high": interval.high}
    return row
