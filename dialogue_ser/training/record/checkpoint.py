"""Checkpoints that are whole or absent: safetensors and JSON, written aside, synced, renamed, proved by a manifest."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from dialogue_ser.durable import TEMPORARY_PREFIX, sync_folder, write_synced
from dialogue_ser.errors import CheckpointError

FORMAT_VERSION = 1
_TENSORS, _STATE, _MANIFEST = "tensors.safetensors", "state.json", "manifest.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """One loaded checkpoint.

    Args:
        name: its folder's name.
        tensors: every tensor by name, on the CPU.
        state: JSON values.
    """

    name: str
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one run, a folder each; names sort in time.

    Args:
        root: ``RUN/checkpoints``; made when the first checkpoint is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names of complete-looking checkpoints, oldest first."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Writes one checkpoint; a crash at any moment leaves the earlier ones as they were.

        Raises:
            CheckpointError: it cannot be written (disk full, no permission); nothing half-written stays.
        """
        aside, place = self.root / f"{TEMPORARY_PREFIX}{name}", self.root / name
        # Own copies: tied weights share storage, which safetensors refuses.
        whole = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            contents = {_TENSORS: safetensors.torch.save(whole), _STATE: json.dumps(state).encode()}
            for file_name, content in contents.items():
                write_synced(aside / file_name, content)
            files = {file_name: _proof(content) for file_name, content in contents.items()}
            manifest = {"format_version": FORMAT_VERSION, "files": files}
            write_synced(aside / _MANIFEST, json.dumps(manifest, indent=1).encode())  # last: it vouches for the others
            sync_folder(aside)
            if place.exists():  # damaged, or from a run that was resumed before it
                shutil.rmtree(place)
            aside.rename(place)
            sync_folder(self.root)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(
                f"{place}: the checkpoint could not be written ({error}); earlier ones are intact: "
                "free some space and continue with --resume"
            ) from error

    def load(self, name: str) -> Checkpoint:
        """One checkpoint, every byte checked against its manifest.

        Raises:
            CheckpointError: missing, half-written, changed, or of a newer format.
        """
        folder = self.root / name
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            if manifest["format_version"] != FORMAT_VERSION:
                raise CheckpointError(
                    f"{folder}: format version {manifest['format_version']}, expected {FORMAT_VERSION}; "
                    "use the dialogue-ser version that wrote it"
                )
            contents = {file_name: (folder / file_name).read_bytes() for file_name in (_TENSORS, _STATE)}
            for file_name, content in contents.items():
                if manifest["files"][file_name] != _proof(content):
                    raise CheckpointError(
                        f"{folder / file_name}: does not match its manifest (half-written or changed)"
                    )
            return Checkpoint(name, safetensors.torch.load(contents[_TENSORS]), json.loads(contents[_STATE]))
        except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: cannot be loaded ({error!r})") from error

    def load_newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and whose best checkpoint is whole; None if there is none.

        Damaged ones are named in a warning and passed over.
        """
        for name in reversed(self.names()):
            try:
                checkpoint = self.load(name)
                best = checkpoint.state.get("best_checkpoint")
                if best not in (None, name):
                    self.load(best)
            except CheckpointError as error:
                logger.warning("%s; going back to the checkpoint before %s", error, name)
            else:
                return checkpoint
        return None

    def prune(self, keep: int, best: str | None) -> None:
        """Deletes all but the newest ``keep`` (at least one) and the best."""
        names = self.names()
        for name in names[: -max(1, keep)]:
            if name != best:
                shutil.rmtree(self.root / name, ignore_errors=True)


def _proof(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
