"""Check the values in config.json of a model folder, before anything is built from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dialogue_ser.errors import CheckpointError, shown_value
from dialogue_ser.features.core.api import InputKind
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.options import build

#: No layer has more inputs than this; a number above it is damage, or an attack on the memory.
_MAX_DIM = 10**8


@dataclass(frozen=True, kw_only=True)
class _Model:
    name: str
    options: dict[str, Any]
    members: int = 1
    systems: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _System(_Model):
    inputs: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Input:
    kind: InputKind
    dim: int
    encoder: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Features:
    modality: str
    encoder: str
    options: dict[str, Any]
    on_bad: OnBad
    dim: int
    transforms: tuple[dict[str, Any], ...]
    fingerprint: dict[str, Any] | None = None
    words: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class _LabelSet:
    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Task:
    kind: str
    dimensions: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()


def check_saved_config(path: Path, config: Mapping[str, Any]) -> None:
    """Check the types and ranges of everything that a model is rebuilt from.

    Args:
        path: the file, for messages.
        config: its content; its sections ``model``, ``inputs``, ``features`` and the task are mappings.

    Raises:
        CheckpointError: some values are missing or wrong. The message names all of them.
    """
    problems: list[str] = []
    parts: list[tuple[str, type, Any]] = [("model", _Model, config["model"])]
    parts += _systems_in("model", config["model"])
    parts += [(f"inputs.{name}", _Input, value) for name, value in config["inputs"].items()]
    parts += [(f"features.{name}", _Features, value) for name, value in config["features"].items()]
    parts += [
        (name, kind, config[name]) for name, kind in (("label_set", _LabelSet), ("task", _Task)) if name in config
    ]
    for name, kind, value in parts:
        if isinstance(value, Mapping):
            # Entries that this version does not know are left to later checks.
            known = {one.name: value[one.name] for one in fields(kind) if one.name in value}
            build(kind, known, f"{name}.", problems)
            problems += _range_problems(name, known)
        else:
            problems.append(f"{name}: found {shown_value(value)}, expected a mapping")
    if problems:
        raise CheckpointError(*(f"{path}: {problem}; copy the model folder again" for problem in problems))


def _systems_in(name: str, model: Any) -> Iterator[tuple[str, type, Any]]:
    """Yield the systems of an ensemble, and those of ensembles among them, as parts of the file."""
    systems = model.get("systems") if isinstance(model, Mapping) else None
    for index, system in enumerate(systems if isinstance(systems, list) else ()):
        yield f"{name}.systems[{index}]", _System, system
        yield from _systems_in(f"{name}.systems[{index}]", system)


def _range_problems(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    dim = values.get("dim")
    if isinstance(dim, int) and not 1 <= dim <= _MAX_DIM:
        yield f"{name}.dim: found {shown_value(dim)}, expected a number from 1 to {_MAX_DIM:,}"
    inputs = values.get("inputs")
    if isinstance(inputs, dict) and not all(isinstance(one, str) for one in inputs.values()):
        yield f"{name}.inputs: found {shown_value(inputs)}, expected names of inputs"
    for key in ("labels", "dimensions"):  # a number would pass for the name of a class called 1
        names = values.get(key)
        if isinstance(names, list) and not (names and all(isinstance(one, str) for one in names)):
            yield f"{name}.{key}: found {shown_value(names)}, expected a list of texts"
