"""Choose what a report shows of predicted values: the largest errors and two dialogues."""

from typing import Any

import numpy as np

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import ValuePredictions

READABLE_TURNS = (4, 24)


def largest_errors(predictions: ValuePredictions, most: int = 12) -> list[dict[str, Any]]:
    """Return the turns with the largest errors, the largest first.

    An error is measured in standard deviations of the dimension's gold values, so that the scale of a dimension does
    not matter.

    Returns:
        one mapping per turn with the keys utterance, speaker, text, dimension (the one with the largest error), gold
        and predicted.
    """
    deviation_NS = _deviations(predictions)
    worst_N = deviation_NS.max(-1)
    frame = predictions.frame
    texts = [str(text) for text in frame["text"].fillna("")]
    found = []
    for i in (int(i) for i in np.argsort(-worst_N, kind="stable")[:most] if worst_N[i] > 0):
        s = int(deviation_NS[i].argmax())
        found.append(
            {
                "utterance": str(frame["utterance_id"].iloc[i]),
                "speaker": predictions.speakers[i],
                "text": texts[i],
                "dimension": predictions.names[s],
                "gold": float(predictions.gold_NS[i, s]),
                "predicted": float(predictions.predicted_NS[i, s]),
            }
        )
    return found


def best_and_worst_dialogue(predictions: ValuePredictions) -> list[tuple[str, str]]:
    """Choose up to two dialogues of one split, each with the reason why: smallest and largest mean error.

    Dialogues of 4 to 24 turns are preferred. A dialogue of one turn is never chosen.

    Returns:
        (dialogue id, reason).
    """
    deviation_NS, dialogue_N = _deviations(predictions), predictions.dialogue_N
    turns = np.bincount(dialogue_N)
    known_N = np.isfinite(predictions.gold_NS).any(-1)
    mean = np.bincount(dialogue_N, deviation_NS.mean(-1)) / np.maximum(np.bincount(dialogue_N, known_N), 1)
    usable = (np.bincount(dialogue_N, known_N) > 1) & (turns > 1)
    readable = usable & (turns >= READABLE_TURNS[0]) & (turns <= READABLE_TURNS[1])
    allowed = np.flatnonzero(readable if readable.any() else usable)
    if not allowed.size:
        return []
    ids = predictions.frame["dialogue_id"].astype(str).to_numpy()
    chosen = {
        int(allowed[mean[allowed].argmin()]): "smallest error",
        int(allowed[mean[allowed].argmax()]): "largest error",
    }
    return [
        (
            str(ids[int(np.flatnonzero(dialogue_N == i)[0])]),
            f"{reason}: {mean[i]:.2f} standard deviations of gold on average",
        )
        for i, reason in chosen.items()
    ]


def _deviations(predictions: ValuePredictions) -> FloatArray:
    """Return the distance from gold in standard deviations of gold, ``[N, S]``; 0 if a turn is not annotated."""
    gold_NS = np.ma.masked_invalid(predictions.gold_NS)
    scale_S = np.asarray(gold_NS.std(0).filled(0.0))
    distance_NS = np.abs(predictions.predicted_NS - gold_NS) / np.where(scale_S > 0, scale_S, 1.0)
    return np.asarray(np.ma.filled(distance_NS, 0.0), dtype=np.float64)
