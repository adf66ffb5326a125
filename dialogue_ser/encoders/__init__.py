"""Utterance encoders that are trained with the dialogue model, and the input module of each modality."""

from dataclasses import is_dataclass, replace
from typing import Any, get_args

from torch import nn

from dialogue_ser.encoders.base import FrontEnd, TrainedEncoder
from dialogue_ser.encoders.vector import VectorInput
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.registry import ENCODERS, ENTRY_POINT_GROUP
from dialogue_ser.options import construct, option_problems
from dialogue_ser.registry import Registry, import_path_of


def _check_encoder(name: str, encoder: Any) -> type[TrainedEncoder]:
    problems = []
    if not _is_trained(encoder):
        raise ConfigError(
            f"trained encoder {name!r}: {import_path_of(encoder)} is not a subclass of TrainedEncoder; make it one"
        )
    if not is_dataclass(getattr(encoder, "Config", None)):
        problems.append("has no Config; set Config to the frozen dataclass of its options")
    front_ends = get_args(FrontEnd)
    if getattr(encoder, "front_end", None) not in front_ends:
        problems.append(f"has no valid front_end, which says what it reads; set it to one of {', '.join(front_ends)}")
    if encoder.encode_rows is TrainedEncoder.encode_rows:
        problems.append("has no encode_rows; define this method, it returns one vector for every row")
    if problems:
        raise ConfigError(*(f"trained encoder {name!r}: {encoder.__qualname__} {problem}" for problem in problems))
    return encoder  # type: ignore[no-any-return]


def _is_trained(encoder: object) -> bool:
    return isinstance(encoder, type) and issubclass(encoder, TrainedEncoder)


TRAINED_ENCODERS: Registry[type[TrainedEncoder]] = Registry(
    "trained encoder",
    ENTRY_POINT_GROUP,
    {
        "textcnn": "dialogue_ser.encoders.textcnn:TextCNN",
        "transformer": "dialogue_ser.encoders.transformer:Transformer",
        "meanpool": "dialogue_ser.encoders.meanpool:MeanPool",
        "layer-mix": "dialogue_ser.encoders.layer_mix:LayerMix",
        "conv-attention": "dialogue_ser.encoders.conv_attention:ConvAttention",
        "vgg": "dialogue_ser.encoders.vgg:VGG",
        "alexnet": "dialogue_ser.encoders.alexnet:AlexNet",
        "gru-attention": "dialogue_ser.encoders.gru_attention:GruAttention",
    },
    _check_encoder,
    shared_with=ENCODERS,
)

__all__ = ["TRAINED_ENCODERS", "TrainedEncoder", "VectorInput", "as_saved", "build_input", "find_trained"]


def find_trained(name: str) -> type[TrainedEncoder] | None:
    """The class of a trained encoder by its name; None if no trained encoder has this name.

    Args:
        name: a name of the library, of a registered encoder or of an installed package, or ``package.module:Class``.

    Raises:
        ConfigError: the encoder cannot be imported, or it lacks parts of a trained encoder; the error names all of
            them.
    """
    if name in TRAINED_ENCODERS:
        return TRAINED_ENCODERS[name]
    if TRAINED_ENCODERS.comes_from_outside(name) and _is_trained(TRAINED_ENCODERS.load_outside(name)):
        return TRAINED_ENCODERS.find(name)
    return None


def build_input(spec: InputSpec) -> nn.Module:
    """Build the input module of one modality: ``forward(values, lengths, is_present)`` gives ``[B,T,out_dim]``.

    Raises:
        ConfigError: the trained encoder or an option is unknown, or the encoder cannot read this kind of input.

    >>> build_input(InputSpec(kind="vector", dim=8)).out_dim
    8
    """
    if spec.encoder is None and spec.kind == "vector":
        problems = option_problems("input of vectors", VectorInput, spec.options, set_by_caller=["dim"])
        if problems:
            raise ConfigError(*problems)
        return VectorInput(spec.dim, **spec.options)
    name = spec.encoder or ("meanpool" if spec.kind == "frames" else "")
    kind = find_trained(name)
    if kind is None:
        raise ConfigError(unknown_name(f"trained encoder for {spec.kind}:", name, TRAINED_ENCODERS))
    readable = "frames" if kind.front_end == "frames" else "tokens"
    if spec.kind != readable and not (spec.kind == "vector" and kind.takes_vectors):
        raise ConfigError(
            f"trained encoder {name!r} reads {readable}, but the input has {spec.kind}; choose another encoder"
        )
    built = kind(construct(f"encoder {name!r}", kind.Config, spec.options), spec.dim)
    if not isinstance(getattr(built, "out_dim", None), int):
        raise ConfigError(f"trained encoder {name!r}: sets no out_dim in __init__; set it to the size of its vectors")
    return built


def as_saved(spec: InputSpec) -> InputSpec:
    """The input of a saved model, whose module is built without pretrained weights because the saved ones are loaded.

    >>> as_saved(InputSpec(kind="tokens", dim=9, encoder="transformer")).options
    {'pretrained': False}
    """
    kind = find_trained(spec.encoder) if spec.encoder else None
    if kind is None or "pretrained" not in kind.option_names():
        return spec
    return replace(spec, options={**spec.options, "pretrained": False})
