"""Published weights of DialogueRNN (the class BiModel of its published implementation)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.published.parts.attention import PUBLISHED_ATTENTION, take_history_attention
from dialogue_ser.models.published.parts.recurrence import take_cells
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.models.recurrent.dialogue_rnn import PUBLISHED_EXTRA_DROPOUT, DialogueRNN, DialogueRNNConfig

DIRECTIONS = ("dialog_rnn_f.dialogue_cell", "dialog_rnn_r.dialogue_cell")


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[DialogueRNN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model.

    The published code exists with and without a tanh on the scores of general2. The setting ``tanh`` says which.
    """
    given = PublishedSettings("dialogue-rnn", settings)
    text_dim, n_classes = given.take("D_m", int), given.take("n_classes", int, default=7)
    general2 = given.choose("tanh", {False: "general2", True: "general2-tanh"}, default=False)
    kinds = {**PUBLISHED_ATTENTION, "general2": general2}
    attention = given.choose("context_attention", kinds, default="simple")
    values: dict[str, Any] = {
        "global_dim": given.take("D_g", int),
        "party_dim": given.take("D_p", int),
        "emotion_dim": given.take("D_e", int),
        "hidden_dim": given.take("D_h", int),
        "listeners": given.choose("listener_state", {True: "update", False: "hold"}, default=False),
        "attention": attention,
        "attention_dim": given.take("D_a", int, default=100) if attention == "concat" else None,
        "emotion_attention": given.choose("att2", {True: general2, False: "none"}, default=True),
        "dropout": given.take("dropout", float, default=0.5),
        "recurrent_dropout": given.take("dropout_rec", float, default=0.5),
    }
    if values["dropout"] + PUBLISHED_EXTRA_DROPOUT >= 1:
        given.problem(f"dropout: found {values['dropout']}, expected less than {1 - PUBLISHED_EXTRA_DROPOUT}")
    given.unused("D_a")
    given.finish()
    config = DialogueRNNConfig(compat=True, **values)
    system = DialogueRNN(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("dialogue-rnn", tensors)
    take_cells(found, system.recurrence, "recurrence.", [f"{prefix}." for prefix in DIRECTIONS], text_dim)
    take_history_attention(
        found, system.recurrence.attention, "recurrence.attention", [f"{prefix}.attention" for prefix in DIRECTIONS]
    )
    found.module(system, "head.0", "linear.")
    found.module(system, "head.3", "smax_fc.")
    if system.emotion_attention is None:  # the published class has this layer even if it does not use it
        found.dead("matchatt.")
    else:
        found.module(system, "emotion_attention.transform", "matchatt.transform.")
    return system, found.finish(system)
