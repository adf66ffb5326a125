"""Write the attention of many dialogues into one file, one dialogue after the other."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from torch import Tensor

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.durable import write_atomically, writing_atomically
from dialogue_ser.runs.run_files import to_json

TENSORS = "attention.safetensors"
TURNS = "attention.json"


class AttentionFile:
    """The files attention.safetensors and attention.json of a run (docs/models.md, "Attention between turns").

    The first has ``SPLIT/DIALOGUE/NAME`` → weights ``[T, T]`` float32. The second has ``SPLIT/DIALOGUE`` → ids of the
    turns in the rows and columns, and the dialogues that are too long to be stored. The weights of one dialogue at a
    time are in memory. They wait in a temporary file until :meth:`write`, because a safetensors file begins with the
    names and places of all its tensors.

    Args:
        folder: the run directory.
        most_turns: longer dialogues are not stored.
    """

    def __init__(self, folder: Path, most_turns: int) -> None:
        self.folder, self.most_turns = folder, most_turns
        self._places: dict[str, tuple[tuple[int, ...], int]] = {}  # name → shape, place in the temporary file
        self._turns: dict[str, list[str]] = {}
        self._too_long: dict[str, int] = {}
        self._waiting: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.close()

    @property
    def n_too_long(self) -> int:
        """The number of dialogues that are not stored because they have more than ``most_turns`` turns."""
        return len(self._too_long)

    @property
    def is_empty(self) -> bool:
        """Whether no dialogue has been stored."""
        return not self._places

    def put(self, split: str, dialogue: Dialogue, attention: Mapping[str, Tensor]) -> None:
        """Store the attention of a dialogue: name → weights ``[T, T]`` float32 on the CPU."""
        key = _key(split, dialogue)
        self._turns[key] = [turn.id for turn in dialogue]
        for name, weights_TT in attention.items():
            weights = np.ascontiguousarray(weights_TT.numpy(), dtype="<f4")
            self._places[f"{key}/{name}"] = (weights.shape, self._waiting.tell())
            self._waiting.write(weights.data)

    def leave_out(self, split: str, dialogue: Dialogue) -> None:
        """Note a dialogue that is too long."""
        self._too_long[_key(split, dialogue)] = len(dialogue)

    def write(self) -> None:
        """Write both files. Without attention nothing is written.

        Raises:
            OSError: the disk is full or the folder is not writable.
        """
        if self._places:
            with writing_atomically(self.folder / TENSORS) as file:
                self._write_tensors(file)
        if self._places or self._too_long:
            too_long = {"most_turns": self.most_turns, "too_long": self._too_long} if self._too_long else {}
            write_atomically(self.folder / TURNS, to_json({"turns": self._turns, **too_long}))

    def _write_tensors(self, file: BinaryIO) -> None:
        """Write the safetensors format: length of the header, header, tensors in the order of their names."""
        header, end = {}, 0
        for name in sorted(self._places):
            shape, _ = self._places[name]
            start, end = end, end + 4 * int(np.prod(shape))
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            shape, place = self._places[name]
            self._waiting.seek(place)
            file.write(self._waiting.read(4 * int(np.prod(shape))))


def _key(split: str, dialogue: Dialogue) -> str:
    return f"{split}/{dialogue.id.removeprefix(f'{split}/')}"
