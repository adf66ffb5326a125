"""Write metrics.jsonl, the complete record of a run's metrics."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState


class MetricsFile(Callback):
    """The open metrics.jsonl: one JSON object per line, synced to disk after epochs and before checkpoints.

    Args:
        path: ``RUN/metrics.jsonl``; None = write nothing, for all processes except the main one.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("a+b")
        self._hash = hashlib.sha256()
        if self._file is not None:
            self._hash_first(self._file.tell())

    @property
    def n_bytes(self) -> int:
        """Current length of the file in bytes."""
        return self._file.tell() if self._file else 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as it is now."""
        return self._hash.hexdigest()

    def truncate(self, n_bytes: int) -> None:
        """Cut the file to the length that it had at a checkpoint.

        Raises:
            ValueError: the file is shorter than that.
        """
        if self._file is None:
            return
        if self.n_bytes < n_bytes:
            raise ValueError(f"metrics.jsonl has {self.n_bytes} bytes, but it had {n_bytes} at the checkpoint")
        self._file.truncate(n_bytes)
        self._hash_first(n_bytes)

    def write(self, row: dict[str, Any]) -> None:
        """Append a line and pass it to the operating system, so that a killed process does not lose it."""
        if self._file is not None:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            self._file.write(line)
            self._file.flush()
            self._hash.update(line)

    def sync(self) -> None:
        """Sync the file to disk, so that a power cut does not destroy what was written."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close the file; a second call does nothing."""
        if self._file is not None and not self._file.closed:
            self.sync()
            self._file.close()

    def _hash_first(self, n_bytes: int) -> None:
        """Begin the hash anew with the first bytes of the file. The position in the file is then behind them."""
        assert self._file is not None
        self._file.seek(0)
        self._hash = hashlib.sha256(self._file.read(n_bytes))

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Append the line of a step."""
        self.write(row)

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Append the line of an epoch and sync."""
        self.write(row)
        self.sync()
