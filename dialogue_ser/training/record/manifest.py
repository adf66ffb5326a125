"""The manifest of a checkpoint: sizes and hashes of its files, its name, its run, and a checksum of all that."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import CheckpointError
from dialogue_ser.foreign_text.json_text import JsonError, parse_json
from dialogue_ser.runs.checksums import CHECKSUM_KEY, is_unchanged, with_checksum

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What ties checkpoints to their run. It is part of every manifest.

    Args:
        run_id: random name of the run.
        settings: checksum of the settings that decide the run's results.
        accepts_unmarked: whether checkpoints that name no run belong to it: an older version wrote them.
    """

    run_id: str
    settings: str
    accepts_unmarked: bool = False


def manifest_of(name: str, contents: Mapping[str, bytes], identity: RunIdentity | None) -> dict[str, Any]:
    """Return the manifest of a checkpoint.

    Args:
        name: name of the checkpoint.
        contents: file → its bytes.
        identity: run that the checkpoint belongs to; None = it names none.
    """
    files = {file_name: size_and_hash(content) for file_name, content in contents.items()}
    manifest: dict[str, Any] = {"format_version": FORMAT_VERSION, "files": files, "name": name}
    if identity is not None:
        manifest |= {"run": identity.run_id, "settings": identity.settings}
    return with_checksum(manifest)


def read_manifest(folder: Path, name: str) -> dict[str, Any]:
    """Return the manifest of a checkpoint after its own checksum was checked.

    Raises:
        CheckpointError: it is missing, damaged, of another format version, or of another checkpoint.
    """
    path = folder / MANIFEST
    try:
        manifest = parsed(path.read_bytes(), path)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error})") from error
    version = manifest.get("format_version")
    # Older versions wrote neither name nor checksum.
    is_whole = (CHECKSUM_KEY in manifest or "name" not in manifest) and is_unchanged(manifest)
    is_whole = is_whole and isinstance(manifest.get("files"), dict)
    if version == FORMAT_VERSION and not is_whole:
        raise CheckpointError(f"{path}: is damaged: it does not match its own checksum")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: format version {version}, expected {FORMAT_VERSION}; use the version of dialogue-ser that "
            "wrote it"
        )
    if manifest.get("name", name) != name:
        raise CheckpointError(f"{folder}: is a copy of the checkpoint {manifest['name']}; delete the copy")
    return manifest


def check_run(folder: Path, manifest: Mapping[str, Any], identity: RunIdentity) -> None:
    """Raise CheckpointError if a manifest names another run."""
    if "run" not in manifest and identity.accepts_unmarked:
        return
    if manifest.get("run") != identity.run_id:
        raise CheckpointError(
            f"{folder}: is a checkpoint of another run (run {manifest.get('run')}, this is run {identity.run_id}); "
            "move it back to its own run directory"
        )


def parsed(content: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        values = parse_json(content)
    except JsonError as error:
        raise CheckpointError(f"{path}: is damaged ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: is damaged: it holds {type(values).__name__}, not an object")
    return values


def size_and_hash(content: bytes) -> dict[str, Any]:
    """Return the manifest's entry of one file."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
