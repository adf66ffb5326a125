"""A saved model on disk. The folder is written completely or not at all, and all files are checked when it is read.

config.json             format version, model, label set, inputs, features, size and SHA-256 of the files below
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
from safetensors import SafetensorError
from torch import Tensor

from dialogue_ser.durable import write_synced
from dialogue_ser.errors import CheckpointError, MissingDataError
from dialogue_ser.features.core.api import Array
from dialogue_ser.inputs.pipeline import FILE_SUFFIX

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TRANSFORMS, CARD = "config.json", "model.safetensors", "transforms.safetensors", "README.md"
_PATTERNS = [CONFIG, WEIGHTS, TRANSFORMS, CARD, f"*/*{FILE_SUFFIX}"]
REQUIRED_KEYS = ("format_version", "model", "inputs", "features", "files")
#: config.json has one of these keys. It says what the scores mean.
TASK_KEYS = ("label_set", "task")


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """The content of a model folder.

    Args:
        folder: the folder it was read from.
        config: content of config.json.
        weights: name → parameter or buffer.
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
    whole_config = {"format_version": FORMAT_VERSION, **config, "files": checksums}
    if card is not None:
        contents[CARD] = card.encode()
    contents[CONFIG] = (json.dumps(whole_config, indent=1, ensure_ascii=False) + "\n").encode()
    return contents


def read_model_folder(location: str | Path, revision: str | None = None) -> SavedModel:
    """Read a model folder, the folder ``model/`` of a run directory, or a model from the Hugging Face hub.

    Args:
        location: folder, run directory or hub id (``owner/name``).
        revision: branch, tag or commit of a hub model.

    Raises:
        MissingDataError: the folder or the hub model does not exist, or the hub cannot be reached.
        CheckpointError: the folder has no model of this library, another format version, or missing or changed files.
    """
    folder = find_model_folder(location, revision)
    config = _read_config(folder / CONFIG)
    problems, contents = [], {}
    others = [name for name in config["files"] if name not in (WEIGHTS, TRANSFORMS) and _is_modality_file(name)]
    for name in (WEIGHTS, TRANSFORMS, *others):
        path = folder / name
        expected = config["files"].get(name)
        if not path.is_file():
            problems.append(f"{path}: is missing; copy the whole model folder again")
            continue
        contents[name] = path.read_bytes()
        if _checksum(contents[name]) != expected:
            problems.append(
                f"{path}: does not match {CONFIG}, so it was changed or not copied completely; copy the whole folder "
                "again"
            )
    if problems:
        raise CheckpointError(*problems)
    try:
        weights = safetensors.torch.load(contents[WEIGHTS])
        transforms = safetensors.numpy.load(contents[TRANSFORMS])
    except SafetensorError as error:
        raise CheckpointError(
            f"{folder}: its safetensors cannot be read ({error}); copy the whole folder again"
        ) from error
    transforms |= {name: np.frombuffer(contents[name], dtype=np.uint8) for name in others}
    return SavedModel(folder=folder, config=config, weights=weights, transforms=transforms)


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


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the model folder again") from error
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
    return config


def _is_modality_file(name: str) -> bool:
    """Return whether a file name in config.json is safe: ``MODALITY/NAME.json``. A foreign folder may name any file."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and ".." not in parts and parts[0] != "/" and name.endswith(FILE_SUFFIX)


def _checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
