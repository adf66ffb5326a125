"""RunConfig to and from plain mappings and YAML, strictly: unknown keys and wrong types are errors, all in one pass."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dialogue_ser.errors import ConfigError
from dialogue_ser.options import build
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.config.upgrade import upgraded


def config_to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain, JSON-able mapping of a configuration, in the order of its fields.

    >>> config_to_dict(RunConfig(name="demo"))["training"]["epochs"]
    20
    """
    values: dict[str, Any] = plain(dataclasses.asdict(config))
    return values


def config_from_dict(values: Mapping[str, Any], where: str = "config") -> RunConfig:
    """RunConfig from a mapping; fields that are missing keep their defaults.

    Args:
        values: nested mapping, as YAML gives it.
        where: file or source named in errors.

    Raises:
        ConfigError: unknown keys (with the nearest match) and values of a wrong type, every one of them.

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
    """RunConfig from a YAML file.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, or values that do not fit.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML ({error})") from error
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of settings such as 'seed: 1'")
    return config_from_dict(values or {}, where=str(path))


def dump_config(config: RunConfig) -> str:
    """YAML text that :func:`load_config` reads back to an equal configuration."""
    return yaml.safe_dump(config_to_dict(config), sort_keys=False, allow_unicode=True)


def plain(value: Any) -> Any:
    """Dataclasses, mappings, sequences and paths as what JSON and YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
