"""The files of a run directory, read without torch (docs/architecture.md, 'The run directory').

Lives here because evaluation and report both read them and may not import each other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class RunFiles:
    """A run directory; every file is read when first asked for, absent optional ones give empty values.

    Args:
        folder: the run directory.

    Raises:
        MissingDataError: the folder does not exist.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise MissingDataError(f"{self.folder}: no such run directory; train one with dialogue-ser train --out DIR")

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.yaml``; empty if absent.

        Raises:
            DialogueSerError: a file that is no YAML mapping.
        """
        path = self.folder / "config.yaml"
        if not path.is_file():
            return {}
        try:
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DialogueSerError(f"{path}: no valid YAML ({error}); restore it from the run that wrote it") from error
        config = _mapping(value, path)
        wrong = [name for name in ("data", "features", "model") if not isinstance(config.get(name, {}), dict)]
        if wrong:
            raise DialogueSerError(*(f"{path}: {name} is no mapping; restore the file" for name in wrong))
        return config

    @cached_property
    def environment(self) -> dict[str, Any]:
        """``environment.json``; empty if absent."""
        return _read_json(self.folder / "environment.json")

    @cached_property
    def scores(self) -> dict[str, Any]:
        """``scores.json`` as evaluation wrote it, in today's metric keys; empty if absent."""
        scores = _read_json(self.folder / "scores.json")
        is_old = scores.get("kind") == "crossval" and scores.get("format") == 1
        return _renamed(scores) if is_old else scores

    @cached_property
    def history(self) -> tuple[dict[str, Any], ...]:
        """Every line of ``metrics.jsonl``, in order; empty if absent. A torn last line is left out.

        Raises:
            DialogueSerError: another line that is no JSON object.
        """
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().splitlines() if path.is_file() else []  # bytes: a power cut may leave any at the end
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(_mapping(json.loads(line.decode("utf-8")), path))
            except ValueError as error:
                # A run killed while writing leaves half a line at the end: that is no reason to refuse the rest.
                if number < len(lines):
                    raise DialogueSerError(f"{path} row {number}: no JSON object ({error}); remove the line") from error
        return tuple(entries)

    @property
    def epochs(self) -> tuple[dict[str, Any], ...]:
        """The ``epoch`` lines of metrics.jsonl, the newest of each epoch (a resumed run may have repeated one)."""
        for row, entry in enumerate(self.history, start=1):
            if entry.get("kind") == "epoch" and not isinstance(entry.get("epoch"), int):
                raise DialogueSerError(f"{self.folder / 'metrics.jsonl'} row {row}: has no epoch; remove the line")
        newest = {entry["epoch"]: entry for entry in self.history if entry.get("kind") == "epoch"}
        return tuple(newest[epoch] for epoch in sorted(newest))

    @property
    def summary(self) -> dict[str, Any]:
        """The last ``summary`` line of metrics.jsonl; empty if absent."""
        lines = [entry for entry in self.history if entry.get("kind") == "summary"]
        return lines[-1] if lines else {}

    @property
    def keeps_last(self) -> bool:
        """Whether the checkpoint is the last epoch whatever dev says (``training.keep: last``)."""
        return (self.config.get("training") or {}).get("keep") == "last"

    @cached_property
    def predictions(self) -> Predictions:
        """``predictions.parquet``.

        Raises:
            MissingDataError: it is absent.
        """
        return read_predictions(self.folder / "predictions.parquet")

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.config.get("name") or self.folder.resolve().name)

    def attention(self, split: str, dialogue_id: str) -> Mapping[str, FloatArray]:
        """Attention matrices ``[T, T]`` of a dialogue by name (row looks, column is looked at); empty if not stored.

        Raises:
            DialogueSerError: a damaged attention.safetensors.
        """
        path = self.folder / "attention.safetensors"
        if not path.is_file():
            return {}
        prefixes = (f"{split}/{dialogue_id}/", f"{dialogue_id}/") if dialogue_id.startswith(f"{split}/") else (
            f"{split}/{dialogue_id}/",)  # fmt: skip
        try:
            with safe_open(path, framework="numpy") as file:
                return {
                    key.rsplit("/", 1)[1]: np.asarray(file.get_tensor(key), dtype=np.float64)
                    for key in file.keys()  # noqa: SIM118 - safe_open is no mapping
                    if key.rpartition("/")[0] + "/" in prefixes
                }
        except SafetensorError as error:
            raise DialogueSerError(f"{path}: damaged ({error}); delete it or write it again") from error


#: Keys of metrics in cross-validations of format 1; the last two are others under a second name.
_OLD_KEYS = {"ua": "uar", "wa": "accuracy", "dev_ua": "dev_scores", "macro_recall": None, "weighted_recall": None}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        names = {key: _OLD_KEYS.get(key, key) for key in value}
        # The documents' own numbers (``scores`` of published rows) keep the documents' names.
        return {
            name: value[key] if key == "published" else _renamed(value[key])
            for key, name in names.items()
            if name is not None
        }
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def to_json(value: object) -> str:
    """JSON text of plain values; refuses NaN, which no other JSON reader takes."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")), path)
    except ValueError as error:
        raise DialogueSerError(f"{path}: no JSON object ({error}); delete it, or restore it") from error


def _mapping(value: object, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DialogueSerError(f"{path}: holds {type(value).__name__}, expected a mapping; restore it")
    return value
