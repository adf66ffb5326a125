"""Combine settings: a later layer replaces single settings of an earlier one.

The layers are a preset, files given with --config, flags, and overrides in Python. All follow the same rules.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, to_plain
from dialogue_ser.training.config.run_config import LossConfig, RunConfig

#: A setting that names a model, encoder or reader → the settings beside it that belong to this one only. If a later
#: layer gives another name, they are dropped.
_SETTINGS_OF_NAMED = {
    "name": ("options",),
    "encoder": ("options",),
    "reader": ("path", "labels", "options", "targets", "leave_out", "cut"),
}


#: Section → its settings that belong to one task only. If a later layer sets another task, they are dropped.
_SETTINGS_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "loss": tuple(field.name for field in dataclasses.fields(LossConfig)),
    "training": ("select", "balance"),
    "data": ("targets", "leave_out"),
}


def apply_overrides(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """Return a new configuration in which some settings are replaced, by the same rules as on the command line.

    If the model, an encoder or the reader changes, the settings of the old one are dropped (:func:`merge`). The value
    None for ``features.NAME`` removes that modality.

    Args:
        config: the configuration to start from; it is not changed.
        overrides: setting with dots, e.g. ``training.epochs`` → new value.

    Raises:
        ConfigError: a setting does not exist, or a value has a wrong type.

    >>> apply_overrides(RunConfig(), {"training.epochs": 3, "model.options.hidden": 8}).model.options
    {'hidden': 8}
    >>> apply_overrides(RunConfig(), {"model.options": {"a": 1}, "model.name": "b"}).model
    ModelConfig(name='b', options={'a': 1})
    """
    values = config_to_dict(config)
    # First drop the settings of everything that is replaced, so that the order of the overrides does not matter.
    for dotted, value in overrides.items():
        override: Any = to_plain(value)
        for part in reversed(dotted.split(".")):
            override = {part: override}
        values = _without_settings_of_replaced(values, override)
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        if parents == ["features"] and value is None:
            values = without_modality(values, last)
            continue
        node = values
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"override {dotted}: {parent!r} is a single value, so it has no settings inside")
            node = child
        node[last] = to_plain(value)
    return config_from_dict(values, where="override")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two layers of settings as one; where both have a setting, the layer ``above`` wins.

    If the layer above names another model, encoder or reader, the settings that belong to the old one are dropped: the
    ``options`` of a model or encoder; ``path``, ``labels``, ``options``, ``targets``, ``leave_out`` and ``cut`` of a
    reader. If it sets another task, the loss and all other settings of the old task are dropped and get the defaults of
    the new one.

    Args:
        below: the earlier layer, a nested mapping.
        above: the later layer, a nested mapping.

    >>> merge({"model": {"name": "a", "options": {"x": 1}}}, {"model": {"name": "b"}})
    {'model': {'name': 'b'}}
    >>> merge({"data": {"reader": "meld", "labels": "sentiment", "on_bad": "mask"}}, {"data": {"reader": "nemo"}})
    {'data': {'reader': 'nemo', 'on_bad': 'mask'}}
    """
    merged = _without_settings_of_replaced(below, above)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def without_modality(values: Mapping[str, Any], modality: str) -> dict[str, Any]:
    """Return a configuration's mapping without one modality and without the model's projection of this modality.

    >>> values = {"features": {"text": {}, "audio": {}}, "model": {"options": {"projection": {"audio": 9}}}}
    >>> without_modality(values, "audio")
    {'features': {'text': {}}, 'model': {'options': {'projection': {}}}}
    """
    kept = _copy(values)
    kept.get("features", {}).pop(modality, None)
    kept.get("model", {}).get("options", {}).get("projection", {}).pop(modality, None)
    return kept


def _without_settings_of_replaced(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the layer below without the settings of each model, encoder, reader or task that the layer above replaces.

    The result does not contain the settings of the layer above.
    """
    kept = dict(below)
    for setting, belonging in _SETTINGS_OF_NAMED.items():
        if setting in above and setting in below and above[setting] != below[setting]:
            kept = {key: value for key, value in kept.items() if key not in belonging}
    if "task" in above and above["task"] != below.get("task", RunConfig().task):
        for section, belonging in _SETTINGS_OF_TASK.items():
            settings = kept.get(section)
            if isinstance(settings, Mapping):
                kept[section] = {name: value for name, value in settings.items() if name not in belonging}
    for key, value in above.items():
        if isinstance(kept.get(key), Mapping) and isinstance(value, Mapping):
            kept[key] = _without_settings_of_replaced(kept[key], value)
    return kept


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested mappings; other values are shared."""
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}
