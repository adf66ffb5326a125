"""Published weights of bc-LSTM (conv-emotion, bc-LSTM-pytorch)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.models.recurrent.bc_lstm import BcLSTM, BcLSTMConfig


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[BcLSTM, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("bc-lstm", settings)
    text_dim, n_classes = given.take("text", int), given.take("classes", int)
    options: dict[str, Any] = {
        "context_dim": given.take("hidden", int),
        "hidden_dim": given.take("head", int),
        "attention": given.choose("attention", {False: "none", True: "general2-tanh"}),
        "dropout": given.take("dropout", float, default=0.25),
    }
    given.unused("parties")
    given.finish()
    config = BcLSTMConfig(**options)
    system = BcLSTM(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("bc-lstm", tensors)
    found.module(system, "level.lstm", "lstm.")
    found.module(system, "level.head.0", "linear.")
    found.module(system, "level.head.3", "smax_fc.")
    if system.level.attention is None:
        found.dead("matchatt.")
    else:
        found.module(system, "level.attention.transform", "matchatt.transform.")
    return system, found.finish(system)
