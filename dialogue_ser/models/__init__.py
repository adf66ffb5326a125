"""The dialogue models. MODELS lists all of them, and a model's module is imported when its name is first used."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.options import construct
from dialogue_ser.registry import Registry, Target, import_path_of
from dialogue_ser.tasks.base import Task


def _check_system(name: str, system: Any) -> type[DialogueSystem]:
    location = import_path_of(system)
    if not (isinstance(system, type) and issubclass(system, DialogueSystem)):
        raise ConfigError(f"model {name!r}: {location} is not a subclass of dialogue_ser.DialogueSystem; make it one")
    problems = []
    if not is_dataclass(getattr(system, "Config", None)):
        problems.append(f"model {name!r}: {location} has no Config; set Config to the dataclass of its options")
    if ":" not in name and getattr(system, "name", None) != name:
        problems.append(f"model {name!r}: {location}.name must be {name!r} too, so that saved models can be loaded")
    if problems:
        raise ConfigError(*problems)
    return system


MODELS: Registry[type[DialogueSystem]] = Registry(
    "model",
    "dialogue_ser.models",
    {
        "emotion-rnn": "dialogue_ser.models.recurrent.emotion_rnn:EmotionRNN",
        "dialogue-rnn": "dialogue_ser.models.recurrent.dialogue_rnn:DialogueRNN",
        "bigru": "dialogue_ser.models.recurrent.bigru:BiGRU",
        "bc-lstm": "dialogue_ser.models.recurrent.bc_lstm:BcLSTM",
        "cmn": "dialogue_ser.models.recurrent.cmn:CMN",
        "cosmic": "dialogue_ser.models.recurrent.cosmic:Cosmic",
        "dialogue-crn": "dialogue_ser.models.recurrent.dialogue_crn:DialogueCRN",
        "icon": "dialogue_ser.models.recurrent.icon:ICON",
        "dag-erc": "dialogue_ser.models.graph.dag_erc:DagERC",
        "dialogue-gcn": "dialogue_ser.models.graph.dialogue_gcn:DialogueGCN",
        "graphsmile": "dialogue_ser.models.graph.graphsmile:GraphSmile",
        "m3net": "dialogue_ser.models.graph.m3net:M3NET",
        "mm-dfn": "dialogue_ser.models.graph.mm_dfn:MMDFN",
        "mmgcn": "dialogue_ser.models.graph.mmgcn:MMGCN",
        "utterance": "dialogue_ser.models.fusion.utterance:UtteranceSystem",
        "fusion-attention": "dialogue_ser.models.fusion.fusion_attention:FusionAttentionSystem",
        "late-fusion": "dialogue_ser.models.fusion.late_fusion:LateFusion",
        "sdt": "dialogue_ser.models.fusion.sdt:SDT",
    },
    _check_system,
)


def register_model(name: str) -> Callable[[Target], Target]:
    """A decorator that registers a :class:`DialogueSystem`; its attribute ``name`` must be the same name.

    Raises:
        ConfigError: the name contains a colon, or the library or another system has it already.
    """
    return MODELS.register(name)


def find_model(name: str) -> type[DialogueSystem]:
    """The class of a system by its name.

    Args:
        name: a name of the library, of a registered system or of an installed package, or ``package.module:Class``.

    Raises:
        ConfigError: there is no such system (the error names the nearest one), or the object found is not a system.
    """
    return MODELS.find(name)


def resolve_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a system: the given ones, and the defaults of all others.

    Raises:
        ConfigError: the name or an option is unknown, or an option has a wrong value.

    >>> resolve_options("bigru", {"hidden_dim": 8})["dropout"]
    0.2
    """
    return asdict(_configure(name, options))  # type: ignore[call-overload, no-any-return]


def build_model(
    name: str, options: Mapping[str, Any], inputs: Mapping[str, InputSpec], n_scores: int, task: Task | None = None
) -> DialogueSystem:
    """Build a system with random weights, drawn from torch's global generator.

    Args:
        name: as for :func:`find_model`.
        options: fields of the system's Config; the others keep their defaults.
        inputs: modality → shape of its features, at least one.
        n_scores: S, the number of scores per turn that the task needs.
        task: says what the scores mean; None = classification.

    Raises:
        ConfigError: the name or an option is unknown, there is no input, or the weights do not fit into memory.
    """
    config = _configure(name, options)
    if not inputs:
        raise ConfigError(f"model {name}: there is no modality; give at least one under features")
    try:
        system = find_model(name)(config, inputs, n_scores)  # type: ignore[call-arg, arg-type]
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise ConfigError(
            f"model {name}: its weights do not fit into this machine's memory; make the sizes in model.options smaller"
        ) from error
    system.name = name  # a saved model is loaded by this name, which can be package.module:Class
    if task is not None:
        system.take_task(task)
    return system


def _configure(name: str, options: Mapping[str, Any]) -> object:
    config: object = construct(f"model {name}", find_model(name).Config, options, name_prefix="model.options.")
    return config


__all__ = ["MODELS", "DialogueSystem", "Output", "build_model", "find_model", "register_model", "resolve_options"]
