"""Convert a RunConfig to and from plain mappings and YAML.

Reading is strict: unknown keys and values of a wrong type are errors, and one error names all of them.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dialogue_ser.errors import ConfigError
from dialogue_ser.options import build
from dialogue_ser.runs.checksums import warn_if_changed
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.config.upgrade import upgraded


def config_to_dict(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as a plain mapping that JSON can hold, in the order of its fields.

    >>> config_to_dict(RunConfig(name="demo"))["training"]["epochs"]
    20
    """
    values: dict[str, Any] = to_plain(dataclasses.asdict(config))
    return values


def config_from_dict(values: Mapping[str, Any], where: str = "config") -> RunConfig:
    """Return the RunConfig that a mapping describes; missing fields keep their defaults.

    Args:
        values: nested mapping, as YAML gives it.
        where: what error messages name as the place of a problem, e.g. the file.

    Raises:
        ConfigError: unknown keys (with the nearest known key) or values of a wrong type. The error names all of them.

    >>> config_from_dict({"training": {"epochs": 3}}).training.epochs
    3
    """
    problems: list[str] = []
    config = build(RunConfig, upgraded(values), "", problems)
    if problems:
        raise ConfigError(*(f"{where}: {problem}" for problem in problems))
    assert config is not None
    return config


def load_config(path: Path) -> RunConfig:
    """Return the RunConfig that a YAML file describes.

    Raises:
        ConfigError: the file does not exist, is not YAML, holds no mapping, or has unknown keys or wrong values.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if (path.parent / "environment.json").is_file():  # elsewhere it is a copy, which may be changed
            warn_if_changed(text, path)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML ({error}); correct the file") from error
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of settings such as 'seed: 1'")
    return config_from_dict(values or {}, where=str(path))


def dump_config(config: RunConfig) -> str:
    """Return a configuration as YAML text; :func:`load_config` reads it back to an equal configuration."""
    return yaml.safe_dump(config_to_dict(config), sort_keys=False, allow_unicode=True)


def to_plain(value: Any) -> Any:
    """Convert dataclasses, mappings, sequences and paths, at any depth, to values that JSON and YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
