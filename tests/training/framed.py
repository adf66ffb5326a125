"""An encoder for the tests of training whose frames are the letter counts of each word."""

from collections.abc import Mapping, Sequence

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances


class WordLetters:
    """An encoder of the user that gives frames ``[words, 26]``."""

    name = "word-letters"
    modality = "text"
    kind = "frames"

    def fingerprint(self) -> Mapping[str, object]:
        return {"version": 1}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, np.ndarray]:
        return {
            turn.id: np.array([[word.count(chr(97 + i)) for i in range(26)] for word in turn.text.split()], np.float32)
            for turn in utterances(dialogues)
            if turn.text
        }
