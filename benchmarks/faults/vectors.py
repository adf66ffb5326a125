"""A frozen encoder whose rows are known without a store, and dialogues for it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from benchmarks.faults.core.case import Failed

Kind = Literal["vector", "frames"]
KINDS: tuple[Kind, ...] = ("vector", "frames")


class Letters:
    """A frozen encoder that counts letters: two vectors or frames of one text are equal bit by bit."""

    name = "fault-letters"
    modality = "text"

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the rows depend on."""
        return {"kind": self.kind}

    def encode(self, dialogues: Sequence[Any]) -> Mapping[str, Any]:
        """Return counts of letters, of the whole text or of every word."""
        return {turn.id: self._row(turn.text or "") for dialogue in dialogues for turn in dialogue}

    def _row(self, text: str) -> Any:
        parts = [text] if self.kind == "vector" else text.split() or [""]
        counts = np.array([[part.count(chr(97 + i)) / 7 for i in range(26)] for part in parts], dtype=np.float32)
        return counts[0] if self.kind == "vector" else counts


def dialogues(n: int, first: int = 0) -> list[Any]:
    """Return dialogues of two turns with texts of their own."""
    from dialogue_ser.corpus.schema import Dialogue, Utterance

    def turn(number: int, place: int) -> Utterance:
        text = hashlib.sha256(f"{number}/{place}".encode()).hexdigest() + " abc " * (number % 4)
        return Utterance(id=f"d{number}_u{place}", speaker="Ann", text=text)

    return [Dialogue(f"d{number}", (turn(number, 0), turn(number, 1))) for number in range(first, first + n)]


def right_rows(encoder: Letters, given: Sequence[Any]) -> dict[str, Any]:
    """Return the rows that do not come from a store."""
    return dict(encoder.encode(given))


def require_rows(found: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    """Compare rows bit by bit.

    Raises:
        Failed: some differ, are missing or are too many.
    """
    wrong = [key for key in right if key not in found or not np.array_equal(found[key], right[key])]
    if wrong or len(found) != len(right):
        raise Failed(f"{len(wrong)} of {len(right)} rows are missing or wrong ({len(found)} were given)")
