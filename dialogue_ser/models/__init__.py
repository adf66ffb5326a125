"""One published system per file; MODELS is the whole list, entry points ``dialogue_ser.models`` add the user's own."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from dialogue_ser import plugins
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.models.bigru import BiGRU
from dialogue_ser.models.dialogue_rnn import DialogueRNN
from dialogue_ser.models.emotion_rnn import EmotionRNN
from dialogue_ser.models.fusion_attention import FusionAttentionSystem
from dialogue_ser.models.late_fusion import LateFusion
from dialogue_ser.models.utterance import UtteranceSystem

MODELS: dict[str, type[DialogueSystem]] = {
    "emotion-rnn": EmotionRNN,
    "dialogue-rnn": DialogueRNN,
    "bigru": BiGRU,
    "utterance": UtteranceSystem,
    "late-fusion": LateFusion,
    "fusion-attention": FusionAttentionSystem,
}


def installed_models() -> Mapping[str, str]:
    """Name → ``package.module:Class`` of the systems that installed packages add; imports none of them."""
    found = plugins.installed("dialogue_ser.models")
    return {name: target for name, target in found.items() if name not in MODELS}


def find_model(name: str) -> type[DialogueSystem]:
    """A system by its registered name.

    Raises:
        ConfigError: no such system (names the nearest one), or an entry point that is none.
    """
    if name in MODELS:
        return MODELS[name]
    others = installed_models()
    if name not in others:
        raise ConfigError(unknown_name("model", name, {*MODELS, *others}))
    system = plugins.load("model", name, others[name])
    if not (isinstance(system, type) and issubclass(system, DialogueSystem)):
        raise ConfigError(f"model {name!r}: {others[name]} is no subclass of dialogue_ser.DialogueSystem; make it one")
    problems = []
    if not is_dataclass(getattr(system, "Config", None)):
        problems.append(f"model {name!r}: {others[name]} has no Config; give it the dataclass of its options")
    if getattr(system, "name", None) != name:  # a saved model is found again by its class's name
        problems.append(f"model {name!r}: {others[name]}.name must be {name!r} too, so that saved models are found")
    if problems:
        raise ConfigError(*problems)
    return system


def resolve_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a system, the ones not given at their defaults.

    Raises:
        ConfigError: unknown name, unknown or unfit option.

    >>> resolve_options("bigru", {"hidden_dim": 8})["dropout"]
    0.2
    """
    return asdict(_configure(name, options))  # type: ignore[call-overload, no-any-return]


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
        ConfigError: unknown name or option, no input, or weights that do not fit into memory.
    """
    config = _configure(name, options)
    if not inputs:
        raise ConfigError(f"model {name}: no modality; give at least one under features")
    try:
        return find_model(name)(config, inputs, n_classes)  # type: ignore[call-arg, arg-type]
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise ConfigError(
            f"model {name}: its weights do not fit into this machine's memory; make the sizes in model.options smaller"
        ) from error


def _configure(name: str, options: Mapping[str, Any]) -> object:
    config = find_model(name).Config
    known = [field.name for field in fields(config)]
    problems = [f"model {name}: {unknown_name('option', key, known)}" for key in options if key not in known]
    if problems:
        raise ConfigError(*problems)
    return config(**options)


__all__ = ["MODELS", "DialogueSystem", "Output", "build_model", "find_model", "installed_models", "resolve_options"]
