"""Write and read checkpoints so that a checkpoint is either complete or not there.

The files (safetensors and JSON) are written into a temporary folder, synced to disk, and the folder is then renamed. A
manifest has their sizes and hashes, so that damage is found when a checkpoint is read. It also names the checkpoint and
its run, and has a checksum of its own.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from dialogue_ser.durable import TEMPORARY_PREFIX, sync_folder, write_synced
from dialogue_ser.errors import CheckpointError
from dialogue_ser.training.record.manifest import (
    MANIFEST,
    RunIdentity,
    check_run,
    manifest_of,
    parsed,
    read_manifest,
    size_and_hash,
)

_TENSORS, _STATE = "tensors.safetensors", "state.json"

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
        identity: the run, written into new checkpoints; checkpoints of other runs are refused. None = take all.
    """

    def __init__(self, root: Path, identity: RunIdentity | None = None) -> None:
        self.root = root
        self.identity = identity
        self._best_of_verified: dict[str, str | None] = {}
        self._saved: str | None = None

    def names(self) -> list[str]:
        """Return the names of the checkpoints, oldest first; their files are not checked."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write one checkpoint and read it back. A crash at any moment leaves the earlier checkpoints unchanged.

        Raises:
            CheckpointError: it cannot be written (disk full, no permission; incomplete files are deleted), or the disk
                gives back something else.
        """
        temporary, final = self.root / f"{TEMPORARY_PREFIX}{name}", self.root / name
        is_foreign = self._is_foreign(name)
        replaced = self.root / (f".of-another-run-{name}" if is_foreign else f"{TEMPORARY_PREFIX}{name}-replaced")
        # Copied because safetensors refuses tensors that share memory, as tied weights do.
        copies = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for leftover in self.root.glob(f"{TEMPORARY_PREFIX}*"):  # of a process that died
                shutil.rmtree(leftover, ignore_errors=True)
            temporary.mkdir()
            contents = {_TENSORS: safetensors.torch.save(copies), _STATE: json.dumps(state).encode()}
            for file_name, content in contents.items():
                write_synced(temporary / file_name, content)
            # Written last: without a manifest the checkpoint counts as incomplete.
            write_synced(
                temporary / MANIFEST, json.dumps(manifest_of(name, contents, self.identity), indent=1).encode()
            )
            sync_folder(temporary)
            if final.exists():  # damaged, or written before the run was resumed from an earlier checkpoint
                final.rename(replaced)
            temporary.rename(final)
            sync_folder(self.root)
            if not is_foreign:
                shutil.rmtree(replaced, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"{final}: the checkpoint could not be written ({error}); earlier checkpoints are intact; "
                "free some space and continue with --resume"
            ) from error
        self._saved = name
        self._best_of_verified.pop(name, None)
        self._verify(name, contents)

    def load(self, name: str) -> Checkpoint:
        """Return one checkpoint after its files were compared with its manifest.

        Raises:
            CheckpointError: it is missing, incomplete, changed, of another run, or has another format version.
        """
        contents = self._read(name)
        try:
            tensors = safetensors.torch.load(contents[_TENSORS])
        except SafetensorError as error:
            raise CheckpointError(f"{self.root / name}: cannot be loaded ({error!r})") from error
        return Checkpoint(name, tensors, parsed(contents[_STATE], self.root / name / _STATE))

    def load_newest(self, check: Callable[[Checkpoint], None] | None = None) -> Checkpoint | None:
        """Return the newest checkpoint that is intact and whose best checkpoint is intact; None if there are none.

        A warning names each checkpoint that is passed over.

        Args:
            check: raises CheckpointError for a checkpoint that must not be used for another reason.

        Raises:
            CheckpointError: there are checkpoints, but none can be used. The error has the reason of each.
        """
        passed_over: dict[str, str] = {}
        for name in reversed(self.names()):
            try:
                checkpoint = self.load(name)
                best = checkpoint.state.get("best_checkpoint")
                if best not in (None, name):
                    self._read(str(best))
                if check is not None:
                    check(checkpoint)
            except CheckpointError as error:
                passed_over[name] = str(error)
            else:
                for damaged, problem in passed_over.items():
                    logger.warning("%s; using the checkpoint before %s: %s", problem, damaged, name)
                return checkpoint
        if passed_over:
            raise CheckpointError(
                *passed_over.values(),
                f"{self.root}: no checkpoint can be used; metrics.jsonl was not changed; restore a checkpoint, or "
                "start a new run with another --out",
            )
        return None

    def marks(self) -> list[RunIdentity]:
        """Return the runs that the checkpoints name. Checkpoints that name none, or are damaged, are left out."""
        found = []
        for name in self.names():
            try:
                manifest = read_manifest(self.root / name, name)
            except CheckpointError:
                continue
            if "run" in manifest:
                found.append(RunIdentity(run_id=manifest["run"], settings=manifest["settings"]))
        return found

    def prune(self, keep: int, best: str | None) -> None:
        """Delete checkpoints that no resume needs.

        The newest ``keep`` (at least one) intact checkpoints stay, each with the best checkpoint that it names. So if
        the newest one is damaged later, the one before it is complete. Nothing is deleted if the newest one is damaged
        already. Checkpoints of other runs are never deleted, nor those that a resumed run has not reached again.

        Args:
            keep: number of checkpoints to keep.
            best: name of one more checkpoint to keep.
        """
        names = [name for name in self.names() if self._saved is None or name <= self._saved]
        needed = {best}
        n_kept = 0
        for name in reversed(names):
            if n_kept == max(1, keep):
                break
            try:
                its_best = self._verify(name)
                if its_best is not None:
                    self._verify(its_best)
            except CheckpointError:
                if n_kept == 0:
                    return
                continue
            needed |= {name, its_best}
            n_kept += 1
        for name in names:
            if name not in needed and not self._is_foreign(name):
                self._best_of_verified.pop(name, None)
                shutil.rmtree(self.root / name, ignore_errors=True)

    def _verify(self, name: str, written: Mapping[str, bytes] | None = None) -> str | None:
        """Check the files of a checkpoint once, and return the name of its best checkpoint.

        Args:
            name: name of the checkpoint.
            written: file → the bytes that were just written, if they are known.

        Raises:
            CheckpointError: as :meth:`load`.
        """
        if name not in self._best_of_verified:
            state = parsed(self._read(name, written)[_STATE], self.root / name / _STATE)
            self._best_of_verified[name] = state.get("best_checkpoint")
        return self._best_of_verified[name]

    def _is_foreign(self, name: str) -> bool:
        """Return whether a checkpoint says that it belongs to another run."""
        try:
            manifest = read_manifest(self.root / name, name)
        except CheckpointError:
            return False
        return self.identity is not None and manifest.get("run", self.identity.run_id) != self.identity.run_id

    def _read(self, name: str, written: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
        """Return the files of a checkpoint after they were compared with its manifest.

        Bytes that are equal to ``written`` need no hash of their own: the manifest was made from them.

        Raises:
            CheckpointError: as :meth:`load`.
        """
        folder = self.root / name
        manifest = read_manifest(folder, name)
        if self.identity is not None:
            check_run(folder, manifest, self.identity)
        try:
            contents = {file_name: (folder / file_name).read_bytes() for file_name in (_TENSORS, _STATE)}
        except OSError as error:
            raise CheckpointError(f"{folder}: cannot be read ({error})") from error
        for file_name, content in contents.items():
            is_as_written = written is not None and content == written.get(file_name)
            if not is_as_written and manifest["files"].get(file_name) != size_and_hash(content):
                raise CheckpointError(
                    f"{folder / file_name}: does not match its manifest; it is incomplete or was changed"
                )
        return contents
