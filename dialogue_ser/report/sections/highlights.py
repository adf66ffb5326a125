"""Choose what a report shows of a split: three dialogues and the most confident errors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import ClassPredictions
from dialogue_ser.metrics.slices import SHIFTS, emotion_shift

READABLE_TURNS = (4, 24)


def instructive_dialogues(predictions: ClassPredictions) -> list[tuple[str, str]]:
    """Choose up to three dialogues of one split, each with the reason why.

    They are the dialogue where most emotion shifts are found, the one where most are missed, and one with typical
    accuracy. Dialogues of 4 to 24 turns are preferred. Of equal dialogues the first one is chosen.

    Returns:
        (dialogue id, reason).
    """
    gold_N, dialogue_N = predictions.gold_N, predictions.dialogue_N
    shifted = emotion_shift(gold_N, dialogue_N, predictions.speakers) == SHIFTS[0]
    right = (gold_N == predictions.predicted_N) & (gold_N >= 0)
    n_dialogues = int(dialogue_N.max()) + 1

    def per_dialogue(values: Any) -> Any:
        return np.bincount(dialogue_N, values, n_dialogues)

    labelled, turns = per_dialogue(gold_N >= 0), np.bincount(dialogue_N, minlength=n_dialogues)
    found, missed = per_dialogue(shifted & right), per_dialogue(shifted & ~right)
    accuracy = np.divide(per_dialogue(right), labelled, out=np.zeros(n_dialogues), where=labelled > 0)
    usable = labelled > 0
    readable = usable & (turns >= READABLE_TURNS[0]) & (turns <= READABLE_TURNS[1])
    allowed = readable if readable.any() else usable
    typical = float(right.sum() / max(1, (gold_N >= 0).sum()))
    n_shifts = (found + missed).astype(int)
    wanted: tuple[tuple[FloatArray, Callable[[int], str]], ...] = (
        (found - missed, lambda i: f"best on shifts: {int(found[i])} of {n_shifts[i]} shifts found"),
        (missed - found, lambda i: f"worst on shifts: {int(missed[i])} of {n_shifts[i]} shifts missed"),
        (
            -np.abs(accuracy - typical),
            lambda i: f"typical: {accuracy[i]:.0%} of its turns are right ({typical:.0%} in the whole split)",
        ),
    )
    ids = predictions.frame["dialogue_id"].astype(str).to_numpy()
    chosen: dict[int, str] = {}
    for merit, reason in wanted:
        free = [i for i in np.flatnonzero(allowed) if int(i) not in chosen]
        if free:
            best = int(max(free, key=lambda i: float(merit[i])))
            chosen[best] = reason(best)
    return [(str(ids[int(np.flatnonzero(dialogue_N == i)[0])]), reason) for i, reason in chosen.items()]


def confident_errors(predictions: ClassPredictions, most: int = 12) -> list[dict[str, Any]]:
    """Return the wrongly predicted turns with the highest probability, the most confident one first.

    Returns:
        one mapping per turn with the keys utterance, speaker, text, before (the turn before it in the dialogue, or ""),
        gold, predicted, p_predicted (probability of the predicted class) and p_gold.
    """
    gold_N, predicted_N, p_NC = predictions.gold_N, predictions.predicted_N, predictions.probabilities_NC
    wrong = np.flatnonzero((gold_N >= 0) & (gold_N != predicted_N))
    order = wrong[np.argsort(-p_NC[wrong, predicted_N[wrong]], kind="stable")][:most]
    frame, dialogue_N = predictions.frame, predictions.dialogue_N
    texts = [str(text) for text in frame["text"].fillna("")]
    return [
        {
            "utterance": str(frame["utterance_id"].iloc[i]),
            "speaker": predictions.speakers[i],
            "text": texts[i],
            "before": f"{predictions.speakers[i - 1]}: {texts[i - 1]}"
            if i and dialogue_N[i - 1] == dialogue_N[i]
            else "",
            "gold": predictions.labels[gold_N[i]],
            "predicted": predictions.labels[predicted_N[i]],
            "p_predicted": float(p_NC[i, predicted_N[i]]),
            "p_gold": float(p_NC[i, gold_N[i]]),
        }
        for i in map(int, order)
    ]
