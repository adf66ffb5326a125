"""Settings of one layer over those of another: presets, files, flags and Python follow one rule."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, plain
from dialogue_ser.training.config.run_config import LossConfig, RunConfig

#: What a section says of the one that it chooses: setting that chooses → settings that belong to its choice.
_BELONGINGS = {
    "name": ("options",),
    "encoder": ("options",),
    "reader": ("path", "labels", "options", "targets", "leave_out", "cut"),
}


#: Section → settings that mean something to one task only.
_OF_A_TASK: Mapping[str, tuple[str, ...]] = {
    "loss": tuple(field.name for field in dataclasses.fields(LossConfig)),
    "training": ("select", "balance"),
    "data": ("targets", "leave_out"),
}


def apply_overrides(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """A new configuration with dotted settings replaced, by the rules of the command line.

    Another model, encoder or reader drops what was set for the former one (:func:`merge`); None for ``features.NAME``
    leaves that modality out.

    Raises:
        ConfigError: a setting that does not exist or a value that does not fit.

    >>> apply_overrides(RunConfig(), {"training.epochs": 3, "model.options.hidden": 8}).model.options
    {'hidden': 8}
    >>> apply_overrides(RunConfig(), {"model.options": {"a": 1}, "model.name": "b"}).model
    ModelConfig(name='b', options={'a': 1})
    """
    values = config_to_dict(config)
    for dotted, value in overrides.items():  # what is chosen anew, before anything is set for it
        choice: Any = plain(value)
        for part in reversed(dotted.split(".")):
            choice = {part: choice}
        values = _without_former(values, choice)
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        if parents == ["features"] and value is None:
            values = without_modality(values, last)
            continue
        node = values
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"override {dotted}: {parent!r} is a plain value and has no settings inside")
            node = child
        node[last] = plain(value)
    return config_from_dict(values, where="override")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge of two layers; another model, encoder or reader drops what the layer below set for the former one.

    That is a model's or encoder's ``options``, and what a reader's corpus is asked for: ``path``, ``labels``,
    ``options``, ``targets``, ``leave_out`` and ``cut``. Another task drops the loss and the other settings whose values
    only the former one knows: its own stand in for them.

    >>> merge({"model": {"name": "a", "options": {"x": 1}}}, {"model": {"name": "b"}})
    {'model': {'name': 'b'}}
    >>> merge({"data": {"reader": "meld", "labels": "sentiment", "on_bad": "mask"}}, {"data": {"reader": "nemo"}})
    {'data': {'reader': 'nemo', 'on_bad': 'mask'}}
    """
    merged = _without_former(below, above)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def without_modality(values: Mapping[str, Any], modality: str) -> dict[str, Any]:
    """A configuration's mapping without a modality, and without what the model says about it.

    >>> values = {"features": {"text": {}, "audio": {}}, "model": {"options": {"projection": {"audio": 9}}}}
    >>> without_modality(values, "audio")
    {'features': {'text': {}}, 'model': {'options': {'projection': {}}}}
    """
    kept = _copy(values)
    kept.get("features", {}).pop(modality, None)
    kept.get("model", {}).get("options", {}).get("projection", {}).pop(modality, None)
    return kept


def _without_former(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The layer below without what it set for a model, encoder or reader where the layer above names another."""
    kept = dict(below)
    for chooser, belongings in _BELONGINGS.items():
        if chooser in above and chooser in below and above[chooser] != below[chooser]:
            kept = {key: value for key, value in kept.items() if key not in belongings}
    if "task" in above and above["task"] != below.get("task", RunConfig().task):
        for section, keys in _OF_A_TASK.items():
            own = kept.get(section)
            if isinstance(own, Mapping):
                kept[section] = {name: value for name, value in own.items() if name not in keys}
    for key, value in above.items():
        if isinstance(kept.get(key), Mapping) and isinstance(value, Mapping):
            kept[key] = _without_former(kept[key], value)
    return kept


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}
