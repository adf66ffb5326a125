"""Write and read checkpoints so that a checkpoint is either complete or not there.

The files (safetensors and JSON) are written into a temporary folder, synced to disk, and the folder is then renamed. A
manifest has their sizes and hashes, so that damage is found when a checkpoint is read.
"""

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
        name: name of its folder.
        tensors: name → tensor, on the CPU.
        state: all other values, as JSON gives them.
    """

    name: str
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one run. Each is a folder; sorted by name, they are in the order of time.

    Args:
        root: ``RUN/checkpoints``; the folder is made when the first checkpoint is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the names of the checkpoints, oldest first; their files are not checked."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write one checkpoint. A crash at any moment leaves the earlier checkpoints unchanged.

        Raises:
            CheckpointError: it cannot be written (disk full, no permission); incomplete files are deleted.
        """
        temporary, final = self.root / f"{TEMPORARY_PREFIX}{name}", self.root / name
        # Copied because safetensors refuses tensors that share memory, as tied weights do.
        copies = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            contents = {_TENSORS: safetensors.torch.save(copies), _STATE: json.dumps(state).encode()}
            for file_name, content in contents.items():
                write_synced(temporary / file_name, content)
            files = {file_name: _size_and_hash(content) for file_name, content in contents.items()}
            manifest = {"format_version": FORMAT_VERSION, "files": files}
            # Written last: without a manifest the checkpoint counts as incomplete.
            write_synced(temporary / _MANIFEST, json.dumps(manifest, indent=1).encode())
            sync_folder(temporary)
            if final.exists():  # damaged, or written before the run was resumed from an earlier checkpoint
                shutil.rmtree(final)
            temporary.rename(final)
            sync_folder(self.root)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"{final}: the checkpoint could not be written ({error}); earlier checkpoints are intact; "
                "free some space and continue with --resume"
            ) from error

    def load(self, name: str) -> Checkpoint:
        """Return one checkpoint after its files were compared with its manifest.

        Raises:
            CheckpointError: it is missing, incomplete, changed, or has another format version.
        """
        folder = self.root / name
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            if manifest["format_version"] != FORMAT_VERSION:
                raise CheckpointError(
                    f"{folder}: format version {manifest['format_version']}, expected {FORMAT_VERSION}; "
                    "use the version of dialogue-ser that wrote it"
                )
            contents = {file_name: (folder / file_name).read_bytes() for file_name in (_TENSORS, _STATE)}
            for file_name, content in contents.items():
                if manifest["files"][file_name] != _size_and_hash(content):
                    raise CheckpointError(
                        f"{folder / file_name}: does not match its manifest; it is incomplete or was changed"
                    )
            return Checkpoint(name, safetensors.torch.load(contents[_TENSORS]), json.loads(contents[_STATE]))
        except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: cannot be loaded ({error!r})") from error

    def load_newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is intact and whose best checkpoint is intact; None if there is none.

        A warning names each damaged checkpoint.
        """
        for name in reversed(self.names()):
            try:
                checkpoint = self.load(name)
                best = checkpoint.state.get("best_checkpoint")
                if best not in (None, name):
                    self.load(best)
            except CheckpointError as error:
                logger.warning("%s; using the checkpoint before %s", error, name)
            else:
                return checkpoint
        return None

    def prune(self, keep: int, best: str | None) -> None:
        """Delete all checkpoints except the newest ``keep`` (at least one) and the best one."""
        names = self.names()
        for name in names[: -max(1, keep)]:
            if name != best:
                shutil.rmtree(self.root / name, ignore_errors=True)


def _size_and_hash(content: bytes) -> dict[str, Any]:
    """Return the manifest's entry of one file."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
