"""Read the files of a run directory, without torch (docs/architecture.md, "The run directory")."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.foreign_text.json_text import JsonError, parse_json
from dialogue_ser.foreign_text.json_text import read_json as read_bounded_json
from dialogue_ser.foreign_text.yaml_text import YamlError, parse_yaml
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import Predictions, read_predictions
from dialogue_ser.runs.checksums import CHECKSUM_KEY, is_unchanged, warn_if_changed

REPORT = "report.html"
REPORT_WITHOUT_TEXTS = "report-without-texts.html"
"""The report without the sections that show what people said. A run that is sent to W&B has it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """A run directory. Each file is read when it is first used. A missing optional file gives an empty value.

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
        """The content of ``config.yaml``; empty if there is no such file.

        Raises:
            DialogueSerError: the file is not a YAML mapping.
        """
        path = self.folder / "config.yaml"
        if not path.is_file():
            return {}
        try:
            text = path.read_text(encoding="utf-8")
            warn_if_changed(text, path)
            value = parse_yaml(text)
        except (YamlError, UnicodeDecodeError) as error:
            raise DialogueSerError(
                f"{path}: is not valid YAML ({error}); restore the file from the run that wrote it"
            ) from error
        config = _mapping(value, path)
        wrong = [name for name in ("data", "features", "model") if not isinstance(config.get(name, {}), dict)]
        if wrong:
            raise DialogueSerError(*(f"{path}: {name} is not a mapping; restore the file" for name in wrong))
        return config

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The content of ``environment.json``; empty if there is no such file. A warning says if it was changed."""
        environment = read_json(self.folder / "environment.json")
        if not is_unchanged(environment):
            path = self.folder / "environment.json"
            logger.warning("%s: was changed or damaged after the run wrote it (its checksum differs)", path)
        return {name: value for name, value in environment.items() if name != CHECKSUM_KEY}

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The content of ``scores.json`` with the metric keys of this version; empty if there is no such file."""
        scores = read_json(self.folder / "scores.json")
        is_old = scores.get("kind") == "crossval" and scores.get("format") == 1
        return _with_current_keys(scores) if is_old else scores

    @cached_property
    def history(self) -> tuple[dict[str, Any], ...]:
        """Every line of ``metrics.jsonl``, in order; empty if there is no such file. A broken last line is left out.

        Raises:
            DialogueSerError: a line before the last one is not a JSON object.
        """
        path = self.folder / "metrics.jsonl"
        # Read as bytes, because after a power cut the file may end in bytes that are not text.
        lines = path.read_bytes().splitlines() if path.is_file() else []
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(_mapping(parse_json(line), path))
            except ValueError as error:
                # A run that was killed while writing leaves half a line at the end. The other lines are good.
                if number < len(lines):
                    raise DialogueSerError(
                        f"{path} row {number}: is not a JSON object ({error}); remove the line"
                    ) from error
        return tuple(entries)

    @property
    def epochs(self) -> tuple[dict[str, Any], ...]:
        """The ``epoch`` lines of metrics.jsonl. A resumed run may repeat an epoch; then the last line counts."""
        for row, entry in enumerate(self.history, start=1):
            if entry.get("kind") == "epoch" and not isinstance(entry.get("epoch"), int):
                raise DialogueSerError(f"{self.folder / 'metrics.jsonl'} row {row}: has no epoch; remove the line")
        newest = {entry["epoch"]: entry for entry in self.history if entry.get("kind") == "epoch"}
        return tuple(newest[epoch] for epoch in sorted(newest))

    @property
    def summary(self) -> dict[str, Any]:
        """The last ``summary`` line of metrics.jsonl; empty if there is none."""
        lines = [entry for entry in self.history if entry.get("kind") == "summary"]
        return lines[-1] if lines else {}

    @property
    def keeps_last(self) -> bool:
        """Whether the checkpoint is always the last epoch, so that dev chooses nothing (``training.keep: last``)."""
        return (self.config.get("training") or {}).get("keep") == "last"

    @cached_property
    def predictions(self) -> Predictions:
        """The table of ``predictions.parquet``.

        Raises:
            MissingDataError: the file does not exist.
        """
        return read_predictions(self.folder / "predictions.parquet")

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.config.get("name") or self.folder.resolve().name)

    def attention(self, split: str, dialogue_id: str) -> Mapping[str, FloatArray]:
        """Return name → attention matrix ``[T, T]`` of a dialogue; empty if none is stored.

        Each row belongs to the turn that looks, each column to the turn that is looked at.

        Raises:
            DialogueSerError: attention.safetensors is damaged.
        """
        path = self.folder / "attention.safetensors"
        if not path.is_file():
            return {}
        prefixes = [f"{split}/{dialogue_id}/"]
        if dialogue_id.startswith(f"{split}/"):
            prefixes.append(f"{dialogue_id}/")
        try:
            with safe_open(path, framework="numpy") as file:
                return {
                    key.rsplit("/", 1)[1]: np.asarray(file.get_tensor(key), dtype=np.float64)
                    for key in file.keys()  # noqa: SIM118 - the file object is not a mapping
                    if key.rpartition("/")[0] + "/" in prefixes
                }
        except SafetensorError as error:
            raise DialogueSerError(f"{path}: is damaged ({error}); delete it or write it again") from error

    def attention_limit(self, split: str, dialogue_id: str) -> int | None:
        """Return the largest number of turns whose attention was stored, if this dialogue was too long; else None."""
        stored = read_json(self.folder / "attention.json")
        is_too_long = f"{split}/{dialogue_id.removeprefix(f'{split}/')}" in stored.get("too_long", {})
        return int(stored["most_turns"]) if is_too_long else None


#: Metric key in cross-validations of format 1 → its key in this version. None = the same metric under a second key.
_KEY_CHANGES = {"ua": "uar", "wa": "accuracy", "dev_ua": "dev_scores", "macro_recall": None, "weighted_recall": None}


def _with_current_keys(value: Any) -> Any:
    """Return a value of format 1 with the metric keys of this version."""
    if isinstance(value, dict):
        names = {key: _KEY_CHANGES.get(key, key) for key in value}
        # The keys of the scores that documents print did not change.
        return {
            name: value[key] if key == "published" else _with_current_keys(value[key])
            for key, name in names.items()
            if name is not None
        }
    return [_with_current_keys(item) for item in value] if isinstance(value, list) else value


def to_json(value: object) -> str:
    """Return plain values as JSON text.

    Raises:
        ValueError: a number is NaN or infinite, which other programs cannot read.
    """
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; empty if there is no such file.

    Raises:
        DialogueSerError: the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        return _mapping(read_bounded_json(path), path)
    except JsonError as error:
        raise DialogueSerError(f"{path}: is not a JSON object ({error}); delete or restore the file") from error


def _mapping(value: object, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DialogueSerError(f"{path}: found {type(value).__name__}, expected a mapping; restore the file")
    return value
