"""Utterance encoders trained inside the model, and the module that reads each kind of input."""

from torch import nn

from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.encoders.meanpool import MeanPool
from dialogue_ser.encoders.textcnn import TextCNN
from dialogue_ser.encoders.vector import VectorInput
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.api import InputSpec

TRAINED_ENCODERS: dict[str, type[TrainedEncoder]] = {"textcnn": TextCNN, "meanpool": MeanPool}

__all__ = ["TRAINED_ENCODERS", "TrainedEncoder", "VectorInput", "build_input"]


def build_input(spec: InputSpec) -> nn.Module:
    """The module that turns one modality of a batch into ``[B,T,out_dim]``: ``forward(values, lengths, is_present)``.

    Raises:
        ConfigError: unknown trained encoder or option, or an input nobody can read.

    >>> build_input(InputSpec(kind="vector", dim=8)).out_dim
    8
    """
    if spec.encoder is None and spec.kind == "vector":
        unknown = [option for option in spec.options if option != "dropout"]
        if unknown:
            raise ConfigError(*(unknown_name("option of vector inputs:", option, ["dropout"]) for option in unknown))
        return VectorInput(spec.dim, float(spec.options.get("dropout", 0.0)))
    name = spec.encoder or ("meanpool" if spec.kind == "frames" else "")
    if name not in TRAINED_ENCODERS:
        raise ConfigError(unknown_name(f"trained encoder for {spec.kind}:", name, TRAINED_ENCODERS))
    kind = TRAINED_ENCODERS[name]
    readable = "tokens" if kind.front_end == "words" else "frames"
    if spec.kind != readable:
        raise ConfigError(f"trained encoder {name!r} reads {readable}, not {spec.kind}; choose another encoder")
    unknown = [option for option in spec.options if option not in kind.option_names()]
    if unknown:
        raise ConfigError(
            *(unknown_name(f"option of encoder {name!r}:", option, kind.option_names()) for option in unknown)
        )
    return kind(kind.Config(**spec.options), spec.dim)
