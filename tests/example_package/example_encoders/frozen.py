"""Frozen encoders: nothing in them is trained, so their output is stored."""

import numpy as np

from dialogue_ser.features.core.traits import EncoderTraits


def punctuation(texts, *, marks="!?"):
    """How often each mark occurs: one row per text."""
    return np.array([[text.count(mark) for mark in marks] + [1.0] for text in texts])


class Echo:
    """Marks of a turn and of the one before."""

    kind = "vector"
    traits = EncoderTraits(context=(1, 0), reads=("text",))

    def __init__(self, *, marks="!?", weights="1.0"):
        self.marks = marks
        self.weights = weights

    def fingerprint(self):
        return {"marks": self.marks, "weights": self.weights}

    def encode(self, dialogues):
        rows = {}
        for dialogue in dialogues:
            before = np.zeros(len(self.marks))
            for turn in dialogue:
                now = np.array([float((turn.text or "").count(mark)) for mark in self.marks])
                rows[turn.id] = np.concatenate([now, before])
                before = now
        return rows


class Letters:
    """One frame per letter of a text: which of 27 it is."""

    kind = "frames"
    traits = EncoderTraits(context=(0, 0), reads=("text",))

    def fingerprint(self):
        return {}

    def encode(self, dialogues):
        alphabet = "abcdefghijklmnopqrstuvwxyz!"
        return {
            turn.id: np.array([[float(letter == a) for a in alphabet] for letter in turn.text])
            for dialogue in dialogues
            for turn in dialogue
            if turn.text
        }
