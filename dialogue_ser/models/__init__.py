"""One published system per file; MODELS is the whole list, entry points ``dialogue_ser.models`` add the user's own."""

from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.models.bigru import BiGRU
from dialogue_ser.models.emotion_rnn import EmotionRNN

MODELS: dict[str, type[DialogueSystem]] = {
    "emotion-rnn": EmotionRNN,
    "bigru": BiGRU,
}


def find_model(name: str) -> type[DialogueSystem]:
    """A system by its registered name.

    Raises:
        ConfigError: no such system; names the nearest one.
    """
    if name in MODELS:
        return MODELS[name]
    plugins = {point.name: point for point in entry_points(group="dialogue_ser.models")}
    if name not in plugins:
        raise ConfigError(unknown_name("model", name, {*MODELS, *plugins}))
    system: type[DialogueSystem] = plugins[name].load()
    return system


def build_model(
    name: str, options: Mapping[str, Any], inputs: Mapping[str, InputSpec], n_classes: int
) -> DialogueSystem:
    """A system with random weights (drawn from torch's global generator).

    Args:
        name: registered name.
        options: fields of the system's Config; the others keep their defaults.
        inputs: modality → shape of its features, at least one.
        n_classes: C.

    Raises:
        ConfigError: unknown name or option, or no input.
    """
    system = find_model(name)
    known = [field.name for field in fields(system.Config)]
    problems = [f"model {name}: {unknown_name('option', key, known)}" for key in options if key not in known]
    if not inputs:
        problems.append(f"model {name}: no modality; give at least one under features")
    if problems:
        raise ConfigError(*problems)
    return system(system.Config(**options), inputs, n_classes)  # type: ignore[call-arg, arg-type]


__all__ = ["MODELS", "DialogueSystem", "Output", "build_model", "find_model"]
