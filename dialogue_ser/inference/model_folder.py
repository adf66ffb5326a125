"""A saved model on disk. The folder is written completely or not at all, and all files are checked when it is read.

config.json             format version, model, label set, inputs, features, size and SHA-256 of the files below, and its
                        own SHA-256
model.safetensors       weights
transforms.safetensors  arrays of the fitted transforms, ``MODALITY/NAME``
MODALITY/tokenizer.json tokenizer of a trained transformer, if there is one
README.md               model card, if there is one
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from dialogue_ser.durable import write_synced
from dialogue_ser.errors import CheckpointError, MissingDataError
from dialogue_ser.features.core.api import Array
from dialogue_ser.foreign_text.json_text import JsonError, read_json
from dialogue_ser.inference.tensor_file import TensorFile
from dialogue_ser.inputs.pipeline import FILE_SUFFIX

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TRANSFORMS, CARD = "config.json", "model.safetensors", "transforms.safetensors", "README.md"
_PATTERNS = [CONFIG, WEIGHTS, TRANSFORMS, CARD, f"*/*{FILE_SUFFIX}"]
REQUIRED_KEYS = ("format_version", "model", "inputs", "features", "files")
#: config.json has one of these keys. It says what the scores mean.
TASK_KEYS = ("label_set", "task")
_MAX_ARRAYS_PER_TRANSFORM = 16


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """The content of a model folder.

    Args:
        folder: the folder it was read from.
        config: content of config.json.
        weights: name → parameter or buffer. Their names are known before the tensors are made (:class:`TensorFile`).
        transforms: ``MODALITY/NAME`` → array of a fitted transform. If the name ends in ``.json``, the array is the
            content of a file as bytes (uint8).
    """

    folder: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    transforms: Mapping[str, Array]


def write_model_folder(
    folder: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    transforms: Mapping[str, Array],
    card: str | None = None,
) -> None:
    """Write a model folder. A new folder appears only when it is complete.

    Files of an existing folder are replaced one by one, config.json last.

    Args:
        folder: folder to write. It is created if it does not exist. Other files in it stay.
        config: values that JSON can hold, without ``format_version`` and ``files``.
        weights: name → weight, on any device.
        transforms: name → array. Arrays whose name ends in ``.json`` become separate files.
        card: text of README.md; None = no such file.

    Raises:
        CheckpointError: the folder cannot be written. No incomplete file stays behind.
    """
    contents = _file_contents(config, weights, transforms, card)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        temporary.chmod(0o755)  # mkdtemp creates a folder that only its owner may read
        for name, content in contents.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(temporary / name, content)
        if folder.exists():
            for name in contents:
                (folder / name).parent.mkdir(exist_ok=True)
                (temporary / name).replace(folder / name)
        else:
            temporary.rename(folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: the model could not be written ({error}); free disk space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _file_contents(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], transforms: Mapping[str, Array], card: str | None
) -> dict[str, bytes]:
    """Return name → content of every file of the folder. config.json is the last one: it has the hashes of the others.

    For the arguments see :func:`write_model_folder`.
    """
    # Each weight is copied, because safetensors refuses tensors that share their storage (tied weights).
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}
    files = {name: array.tobytes() for name, array in transforms.items() if name.endswith(FILE_SUFFIX)}
    arrays = {name: array for name, array in transforms.items() if name not in files}
    contents = {WEIGHTS: safetensors.torch.save(copies), TRANSFORMS: safetensors.numpy.save(arrays), **files}
    checksums = {name: _checksum(content) for name, content in contents.items()}
    whole_config = with_checksum({"format_version": FORMAT_VERSION, **config, "files": checksums})
    if card is not None:
        contents[CARD] = card.encode()
    contents[CONFIG] = (json.dumps(whole_config, indent=1, ensure_ascii=False) + "\n").encode()
    return contents


def with_checksum(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of config.json with its checksum: that of all values, in a form without layout.

    So an editor may change the spaces of the file, but no value.
    """
    files = {name: checksum for name, checksum in config["files"].items() if name != CONFIG}
    values = json.loads(json.dumps({**config, "files": files}))
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return {**values, "files": {**values["files"], CONFIG: {"sha256": hashlib.sha256(text.encode()).hexdigest()}}}


def read_model_folder(location: str | Path, revision: str | None = None) -> SavedModel:
    """Read a model folder, the folder ``model/`` of a run directory, or a model from the Hugging Face hub.

    Args:
        location: folder, run directory or hub id (``owner/name``).
        revision: branch, tag or commit of a hub model.

    Raises:
        MissingDataError: the folder or the hub model does not exist, or the hub cannot be reached.
        CheckpointError: the folder has no model of this library, another format version, missing or changed files, or
            links to files outside.
    """
    folder = find_model_folder(location, revision)
    config = _read_config(folder)
    others = [name for name in config["files"] if name not in (WEIGHTS, TRANSFORMS, CONFIG)]
    unsafe = [name for name in others if not _is_modality_file(name)]
    if unsafe:
        raise CheckpointError(*(f"{folder / CONFIG}: names the file {name!r}, which no model has" for name in unsafe))
    problems: list[str] = []
    contents = {
        name: _content(folder, name, config["files"].get(name), problems) for name in (WEIGHTS, TRANSFORMS, *others)
    }
    if problems:
        raise CheckpointError(*problems)
    weights = TensorFile(contents[WEIGHTS], str(folder / WEIGHTS))
    arrays = TensorFile(contents[TRANSFORMS], str(folder / TRANSFORMS))
    _check_number(folder, config, arrays)
    transforms = safetensors.numpy.load(contents[TRANSFORMS]) if arrays else {}
    transforms |= {name: np.frombuffer(contents[name], dtype=np.uint8) for name in others}
    return SavedModel(folder=folder, config=config, weights=weights, transforms=transforms)


def _content(folder: Path, name: str, expected: object, problems: list[str]) -> bytes:
    """Return the content of a file of the folder. A message is added to ``problems`` if it is not what was saved."""
    path = folder / name
    if not path.is_file():
        problems.append(f"{path}: is missing; copy the whole model folder again")
    elif not _is_inside(folder, path):
        problems.append(f"{path}: is a link to a file outside the model folder; copy the file itself into the folder")
    else:
        # The size comes first, so that a file that is far too large is not read.
        has_size = isinstance(expected, dict) and path.stat().st_size == expected.get("bytes")
        content = path.read_bytes() if has_size else b""
        if has_size and _checksum(content) == expected:
            return content
        problems.append(
            f"{path}: does not match {CONFIG}, so it was changed or not copied completely; copy the whole folder again"
        )
    return b""


def _is_inside(folder: Path, path: Path) -> bool:
    """Return whether a file lies in the folder after all links. The hub's cache keeps its files beside the folder."""
    root = folder.resolve()
    root = root.parent.parent if root.parent.name == "snapshots" else root
    return path.resolve().is_relative_to(root)


def _check_number(folder: Path, config: Mapping[str, Any], arrays: TensorFile) -> None:
    """Refuse far more arrays than the transforms in config.json have, before the arrays are made."""
    states = [state for state in config["features"].values() if isinstance(state, dict)]
    lists = [found for state in states if isinstance(found := state.get("transforms"), list)]
    n_transforms = sum(map(len, lists))
    if len(arrays) > _MAX_ARRAYS_PER_TRANSFORM * max(n_transforms, 1):
        raise CheckpointError(
            f"{folder / TRANSFORMS}: has {len(arrays):,} arrays, which is too many for {n_transforms} transforms in "
            f"{CONFIG}; copy the whole folder again"
        )


def find_model_folder(location: str | Path, revision: str | None = None) -> Path:
    """Return the folder that has ``config.json``: the given one, ``model/`` of a run directory, or a downloaded one.

    Raises:
        MissingDataError: the folder or the hub model does not exist, or the hub cannot be reached.
        CheckpointError: the folder exists, but it has no model.
    """
    folder = Path(location).expanduser()
    if folder.is_dir():
        for candidate in (folder, folder / "model"):
            if (candidate / CONFIG).is_file():
                return candidate
        is_run = (folder / "config.yaml").is_file()
        unfinished = "the run is not finished; continue it with --resume"
        hint = unfinished if is_run else "give a folder that save_pretrained wrote, or a run directory"
        raise CheckpointError(f"{folder}: has no model ({CONFIG} is missing); {hint}")
    name = str(location)
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise MissingDataError(f"{name}: no such model folder or run directory; train one with dialogue-ser train")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MissingDataError(
            f"{name}: no such folder here, and it could not be downloaded from the Hugging Face hub ({first_line}); "
            "check the name and the network, or copy the model folder to this machine"
        ) from error


def _read_config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG
    if not _is_inside(folder, path):
        raise CheckpointError(
            f"{path}: is a link to a file outside the model folder; copy the file itself into the folder"
        )
    try:
        config = read_json(path)
    except (JsonError, OSError) as error:
        raise CheckpointError(f"{path}: {error}; copy the model folder again") from error
    if not isinstance(config, dict) or "format_version" not in config:
        raise CheckpointError(
            f"{path}: has no format_version, so it was not written by dialogue_ser; give another folder"
        )
    if config["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {config['format_version']}, this library reads {FORMAT_VERSION}; "
            "use the version of dialogue-ser that wrote the model, or save the model again"
        )
    missing = [key for key in REQUIRED_KEYS if not isinstance(config.get(key), dict) and key != "format_version"]
    if not any(isinstance(config.get(key), dict) for key in TASK_KEYS):
        missing.append(" or ".join(TASK_KEYS))
    if missing:
        raise CheckpointError(f"{path}: lacks {', '.join(missing)}; save the model again")
    # Folders of older versions have no checksum of config.json.
    if CONFIG in config["files"] and with_checksum(config)["files"][CONFIG] != config["files"][CONFIG]:
        raise CheckpointError(
            f"{path}: does not match its own checksum, so it was changed after it was saved, or damaged; copy the "
            "whole folder again",
            f'{path}: if you changed it on purpose, remove its entry "{CONFIG}" under "files"; the folder then loads, '
            "and save_pretrained writes a new checksum",
        )
    return config


def _is_modality_file(name: str) -> bool:
    """Return whether a file name in config.json is safe: ``MODALITY/NAME.json``. A foreign folder may name any file."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and ".." not in parts and parts[0] != "/" and name.endswith(FILE_SUFFIX)


def _checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
