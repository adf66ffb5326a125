"""A saved model on disk: JSON and safetensors, written whole or not at all, every byte checked when read.

config.json             format version, model, label set, inputs, features, size and SHA-256 of the files below
model.safetensors       weights
transforms.safetensors  arrays of the fitted transforms, ``MODALITY/NAME``
MODALITY/tokenizer.json tokenizer of a trained transformer, if there is one
README.md               model card, if there is one
"""

import hashlib
import json
import os
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

from dialogue_ser.errors import CheckpointError, MissingDataError
from dialogue_ser.features.core.api import Array
from dialogue_ser.inputs.pipeline import FILE_SUFFIX

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TRANSFORMS, CARD = "config.json", "model.safetensors", "transforms.safetensors", "README.md"
_PATTERNS = [CONFIG, WEIGHTS, TRANSFORMS, CARD, f"*/*{FILE_SUFFIX}"]
REQUIRED_KEYS = ("format_version", "model", "inputs", "features", "files")
#: What the scores mean: one of them stands there.
TASK_KEYS = ("label_set", "task")


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """What a model folder holds.

    Args:
        folder: where it was read.
        config: content of config.json.
        weights: parameters and buffers by name.
        transforms: arrays of the fitted transforms, ``MODALITY/NAME``; bytes (uint8) where the name ends in ``.json``.
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
    """Write a model folder; a new one appears whole, files of an existing one are replaced one by one, config last.

    Args:
        folder: made if absent; other files in it stay.
        config: JSON-able, without ``format_version`` and ``files``.
        weights: by name, on any device.
        transforms: by name; those whose name ends in ``.json`` become files of their own.
        card: text of README.md.

    Raises:
        CheckpointError: it cannot be written; nothing half-written stays behind.
    """
    # Own copies: tied weights share storage, which safetensors refuses.
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}
    files = {name: array.tobytes() for name, array in transforms.items() if name.endswith(FILE_SUFFIX)}
    arrays = {name: array for name, array in transforms.items() if name not in files}
    contents = {WEIGHTS: safetensors.torch.save(whole), TRANSFORMS: safetensors.numpy.save(arrays), **files}
    described = {"format_version": FORMAT_VERSION, **config, "files": {k: _proof(v) for k, v in contents.items()}}
    if card is not None:
        contents[CARD] = card.encode()
    contents[CONFIG] = (
        json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    ).encode()  # last: vouches for the others
    aside: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        aside.chmod(0o755)  # mkdtemp makes it private; a model is for sharing
        for name, content in contents.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            for name in contents:
                (folder / name).parent.mkdir(exist_ok=True)
                (aside / name).replace(folder / name)
        else:
            aside.rename(folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: the model could not be written ({error}); free space or choose another folder"
        ) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def read_model_folder(place: str | Path, revision: str | None = None) -> SavedModel:
    """Read a model folder, the ``model/`` of a run directory, or a model on the Hugging Face hub.

    Args:
        place: folder, run directory or hub id (``owner/name``).
        revision: branch, tag or commit of a hub model.

    Raises:
        MissingDataError: nothing is there, or the hub cannot be reached.
        CheckpointError: no model of this library, another format version, or missing or changed files.
    """
    folder = find_model_folder(place, revision)
    config = _read_config(folder / CONFIG)
    problems, contents = [], {}
    others = [name for name in config["files"] if name not in (WEIGHTS, TRANSFORMS) and _is_inside(name)]
    for name in (WEIGHTS, TRANSFORMS, *others):
        path = folder / name
        expected = config["files"].get(name)
        if not path.is_file():
            problems.append(f"{path}: is missing; copy the whole model folder again")
            continue
        contents[name] = path.read_bytes()
        if _proof(contents[name]) != expected:
            problems.append(f"{path}: does not match {CONFIG} (half-copied or changed); copy the whole folder again")
    if problems:
        raise CheckpointError(*problems)
    try:
        weights = safetensors.torch.load(contents[WEIGHTS])
        transforms = safetensors.numpy.load(contents[TRANSFORMS])
    except SafetensorError as error:
        raise CheckpointError(f"{folder}: its safetensors cannot be read ({error}); copy the folder again") from error
    transforms |= {name: np.frombuffer(contents[name], dtype=np.uint8) for name in others}
    return SavedModel(folder=folder, config=config, weights=weights, transforms=transforms)


def find_model_folder(place: str | Path, revision: str | None = None) -> Path:
    """The folder that holds ``config.json``: given, ``model/`` of a run, or downloaded.

    Raises:
        MissingDataError: nothing is there, or the hub cannot be reached.
        CheckpointError: a folder without a model.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        for candidate in (folder, folder / "model"):
            if (candidate / CONFIG).is_file():
                return candidate
        hint = "the run is not finished; continue it with --resume" if (folder / "config.yaml").is_file() else (
            "give a folder that save_pretrained wrote, or a run directory")  # fmt: skip
        raise CheckpointError(f"{folder}: holds no model ({CONFIG} is missing); {hint}")
    name = str(place)
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise MissingDataError(f"{name}: no such model folder or run directory; train one with dialogue-ser train")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MissingDataError(
            f"{name}: no such folder here, and the Hugging Face hub did not give it ({first_line}); check the name "
            "and the network, or copy the model folder here"
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
            "use the dialogue-ser version that wrote it, or save the model again"
        )
    missing = [key for key in REQUIRED_KEYS if not isinstance(config.get(key), dict) and key != "format_version"]
    if not any(isinstance(config.get(key), dict) for key in TASK_KEYS):
        missing.append(" or ".join(TASK_KEYS))
    if missing:
        raise CheckpointError(f"{path}: lacks {', '.join(missing)}; save the model again")
    return config


def _is_inside(name: str) -> bool:
    """Whether a file that config.json names is one a modality may have; a folder from anywhere may name anything."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and ".." not in parts and parts[0] != "/" and name.endswith(FILE_SUFFIX)


def _proof(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
