"""Convert a RunConfig to and from plain mappings and YAML.

Reading is strict: unknown keys and values of a wrong type are errors, and one error names all of them. Code that a file
names is refused unless it is trusted (:mod:`~dialogue_ser.trust`).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.yaml_text import YamlError, parse_yaml
from dialogue_ser.options import build
from dialogue_ser.runs.checksums import warn_if_changed
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.config.upgrade import upgraded
from dialogue_ser.trust import NamedCode, Trust, code_in, is_target, refuse_code, texts_in

#: Settings that hold names of a registry. Any other text counts as code if this machine has a module of that name.
_NAMES = (
    "data.reader",
    "features.*.encoder",
    "model.name",
    "loss.kind",
    "metrics",
    "training.select",
    "training.callbacks",
)
#: Settings and options with words of the user, which nothing imports.
_WORDS = (
    "name",
    "data.labels",
    "data.targets",
    "data.leave_out",
    "data.cut.fold",
    "training.adversarial.weights",
    "wandb.*",
    "**.path",
    "**.audio_root",
    "**.columns",
    "**.label_map",
    "**.label_order",
)


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


def load_settings(path: Path) -> Mapping[str, Any]:
    """Return the settings in a YAML file as they stand there: names and values are not checked.

    Raises:
        ConfigError: the file does not exist, is not YAML of reasonable size, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if (path.parent / "environment.json").is_file():  # elsewhere it is a copy, which may be changed
            warn_if_changed(text, path)
        values = parse_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a YAML file in UTF-8") from error
    except YamlError as error:
        raise ConfigError(f"{path}: {error}; correct the file") from error
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of settings such as 'seed: 1'")
    return values or {}


def load_config(path: Path, *, trust_code: Trust = False) -> RunConfig:
    """Return the RunConfig that a YAML file describes. It is safe to run, as far as its names are concerned.

    Args:
        path: the file.
        trust_code: allow code that the file names, e.g. a reader ``package.module:function``: all (True), none, or the
            code with these names. A run of the configuration imports it.

    Raises:
        ConfigError: the file does not exist, is not YAML, holds no mapping, has unknown keys or wrong values, or names
            code that is not trusted. The error lists all of it.
    """
    config = load_record(path)
    advice = f"{path}: if you trust this code, allow it with trust_code=True (on the command line: --trust_code)"
    refuse_code(code_in_settings(config_to_dict(config), f"{path}: "), trust_code, advice)
    return config


def load_record(path: Path) -> RunConfig:
    """Return the RunConfig that a YAML file describes, to look at it or to compare it. Do not run it.

    Code that the file names is not judged. :func:`load_config` returns a configuration that can be run.

    Raises:
        ConfigError: see :func:`load_config`.
    """
    return config_from_dict(load_settings(path), where=str(path))


def code_in_settings(values: Mapping[str, Any], where: str = "") -> list[NamedCode]:
    """Return all code that the settings of a run name: readers, encoders, models, losses, metrics, callbacks, …

    Args:
        values: nested mapping, as :func:`config_to_dict` gives it.
        where: text before every place, e.g. the file.
    """
    return [NamedCode(one.name, f"{where}{one.place}") for one in code_in(values, names=_NAMES, words=_WORDS)]


def code_of_run(config: RunConfig) -> frozenset[str]:
    """Return the names of code that a run in progress trusts: all that its own configuration has.

    What the run reads from its folder, e.g. the models of an ensemble's members, may name no other code.
    """
    return frozenset(text for text in texts_in(config_to_dict(config)) if is_target(text))


def resume_command(folder: Path, config: RunConfig) -> str:
    """Return the command that continues a run. Its config.yaml is a file, so code that it names needs trust."""
    trust = " --trust_code" if code_in_settings(config_to_dict(config)) else ""
    return f"dialogue-ser train --resume {folder}{trust}"


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
