"""RunConfig to and from plain mappings and YAML, strictly: unknown keys and wrong types are errors, all in one pass."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.training.config import RunConfig
from dialogue_ser.training.upgrade import upgraded


def config_to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain, JSON-able mapping of a configuration, in the order of its fields.

    >>> config_to_dict(RunConfig(name="demo"))["training"]["epochs"]
    20
    """
    plain: dict[str, Any] = _plain(dataclasses.asdict(config))
    return plain


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
    config = _build(RunConfig, upgraded(values), "", problems)
    if problems:
        raise ConfigError(*(f"{where}: {problem}" for problem in problems))
    assert isinstance(config, RunConfig)
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


def apply_overrides(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """A new configuration with dotted settings replaced.

    Raises:
        ConfigError: a setting that does not exist or a value that does not fit.

    >>> apply_overrides(RunConfig(), {"training.epochs": 3, "model.options.hidden": 8}).model.options
    {'hidden': 8}
    """
    values = config_to_dict(config)
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        node = values
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"override {dotted}: {parent!r} is a plain value and has no settings inside")
            node = child
        node[last] = _plain(value)
    return config_from_dict(values, where="override")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _build(kind: type[Any], values: Mapping[str, Any], at: str, problems: list[str]) -> Any:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    found: dict[str, Any] = {}
    n_before = len(problems)
    for key, value in values.items():
        name = f"{at}{key}"
        if key not in fields:
            problems.append(f"{name}: {unknown_name('setting', str(key), fields)}")
        else:
            found[key] = _convert(hints[key], value, name, problems)
    missing = [name for name, field in fields.items() if name not in found and _is_required(field)]
    problems.extend(f"{at}{name}: is missing and has no default; set it" for name in missing)
    if len(problems) > n_before:
        return None
    try:
        return kind(**found)
    except ConfigError as error:  # numbers out of range
        problems.extend(error.problems)
        return None


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, at: str, problems: list[str]) -> Any:
    """The value as the field's type wants it; a problem is noted where it does not fit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # only "X | None" occurs
        return None if value is None else _convert(arguments[0], value, at, problems)
    if hint is Any:
        return value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _build(hint, value, f"{at}.", problems)
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _convert(arguments[1], item, f"{at}.{key}", problems) for key, item in value.items()}
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(arguments[0], item, f"{at}[{i}]", problems) for i, item in enumerate(value))
    fits, converted = _scalar(hint, value)
    if not fits:
        problems.append(f"{at}: found {value!r}, expected {_expected(hint)}")
    return converted


def _scalar(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether a plain value fits its type, and the value; forgives what YAML 1.1 makes of ``no`` and ``1e-3``."""
    if get_origin(hint) is Literal:
        if value is False and "no" in get_args(hint):
            return True, "no"
        return value in get_args(hint), value
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return True, float(value)
        except ValueError:
            return False, value
    if hint is int and isinstance(value, bool):
        return False, value
    return isinstance(hint, type) and isinstance(value, hint), value


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list"
    if get_origin(hint) is dict or dataclasses.is_dataclass(hint):
        return "a mapping"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, str(hint))
