"""Published weights of DialogueRNN (the class BiModel of its published implementation)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.published.attention import PUBLISHED_ATTENTION, take_history_attention
from dialogue_ser.models.published.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.models.recurrent.dialogue_rnn import PUBLISHED_EXTRA_DROPOUT, DialogueRNN, DialogueRNNConfig

DIRECTIONS = ("dialog_rnn_f.dialogue_cell", "dialog_rnn_r.dialogue_cell")
#: Our cell → its published name, and its inputs in the order of the published columns.
CELLS = {
    "global": ("g_cell", ("x", "party")),
    "speaker.party": ("p_cell", ("x", "context")),
    "listener.party": ("l_cell", ("x", "speaker")),
    "emotion": ("e_cell", ("party",)),
}


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[DialogueRNN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model.

    The published code exists with and without a tanh on the scores of general2. The setting ``tanh`` says which.
    """
    given = PublishedSettings("dialogue-rnn", settings)
    text_dim, n_classes = given.take("D_m", int), given.take("n_classes", int, default=7)
    general2 = given.choose("tanh", {False: "general2", True: "general2-tanh"}, default=False)
    values: dict[str, Any] = {
        "global_dim": given.take("D_g", int),
        "party_dim": given.take("D_p", int),
        "emotion_dim": given.take("D_e", int),
        "hidden_dim": given.take("D_h", int),
        "attention_dim": given.take("D_a", int, default=100),
        "listeners": given.choose("listener_state", {True: "update", False: "hold"}, default=False),
        "attention": given.choose("context_attention", {**PUBLISHED_ATTENTION, "general2": general2}, default="simple"),
        "emotion_attention": given.choose("att2", {True: general2, False: "none"}, default=True),
        "dropout": given.take("dropout", float, default=0.5),
        "recurrent_dropout": given.take("dropout_rec", float, default=0.5),
    }
    if values["dropout"] + PUBLISHED_EXTRA_DROPOUT >= 1:
        given.problem(f"dropout: found {values['dropout']}, expected less than {1 - PUBLISHED_EXTRA_DROPOUT}")
    given.finish()
    config = DialogueRNNConfig(compat=True, **values)
    system = DialogueRNN(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("dialogue-rnn", tensors)
    _take_cells(found, system)
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


def _take_cells(found: PublishedTensors, system: DialogueRNN) -> None:
    """The cells of both directions, which our recurrence stores joined. All first states are zeros."""
    recurrence, config = system.recurrence, system.config
    sizes = {"x": system.turns.out_dim, "context": config.global_dim}
    hidden_dims = {"global": config.global_dim, "emotion": config.emotion_dim}
    joined = {
        name: torch.zeros(value.shape, dtype=found.dtype)
        for name, value in recurrence.named_parameters()
        if not name.startswith("attention.")
    }
    for direction, prefix in enumerate(DIRECTIONS):
        for cell in ("global", "emotion", *recurrence.wiring.cells):
            name, read = CELLS[cell]
            widths, hidden = [sizes.get(cell_input, config.party_dim) for cell_input in read], hidden_dims.get(cell)
            hidden = config.party_dim if hidden is None else hidden
            columns = found.take(f"{prefix}.{name}.weight_ih", 3 * hidden, sum(widths))
            inputs = dict(zip(read, torch.split(columns, widths, dim=1), strict=True))
            own = found.take(f"{prefix}.{name}.weight_hh", 3 * hidden, hidden)
            bias_x, bias_h = (found.take(f"{prefix}.{name}.bias_{kind}", 3 * hidden) for kind in ("ih", "hh"))
            recurrence.load_cell(direction, cell, inputs, own, bias_x, bias_h, into=joined)
    found.values.update({f"recurrence.{name}": value for name, value in joined.items()})
