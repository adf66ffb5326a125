"""The record of a run: one JSON object per line, on disk before the next part begins."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD, LOG = "gpu.jsonl", "gpu.log"
"""All that a run leaves: what was found, and what its parts printed."""


class Record:
    """The lines of :data:`RECORD`. A run begins a new file.

    Args:
        folder: it is created if it is absent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.log = folder / RECORD, folder / LOG
        self.path.write_bytes(b"")
        self.log.write_bytes(b"")

    def add(self, line: Mapping[str, Any]) -> None:
        """Write a line and wait until it is on disk."""
        with self.path.open("ab") as file:
            file.write(json.dumps(line, ensure_ascii=False, default=str).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_record(path: Path) -> list[dict[str, Any]]:
    """All complete lines. An unfinished last line of an interrupted run is dropped."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
