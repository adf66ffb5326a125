"""Published weights of COSMIC (conv-emotion, COSMIC/erc-training)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.published.parts.attention import PUBLISHED_ATTENTION, take_history_attention
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.models.recurrent.cosmic import Cosmic, CosmicConfig
from dialogue_ser.nn.recurrence.commonsense import READERS
from dialogue_ser.nn.recurrence.directed_cell import DirectedCell

DIRECTIONS = ("cs_rnn_f.dialogue_cell", "cs_rnn_r.dialogue_cell")
TEXTS = ("text1", "text2", "text3", "text4")
#: Our cell → its published name.
CELLS = {
    "shared": "g_cell",
    "internal": "p_cell",
    "external": "r_cell",
    "intent": "i_cell",
    "emotion": "e_cell",
    "listener_internal": "pl_cell",
    "listener_external": "rl_cell",
}
#: Published mode1 → how the text vectors are combined, and the single vector.
MODES: dict[Any, tuple[Any, int]] = {0: ("concat", 1), 1: ("first-two", 1), 2: ("mean", 1), 7: ("weighted", 1)}
MODES |= {2 + number: ("one", number) for number in (1, 2, 3, 4)}
NORMS: dict[Any, Any] = {0: "none", 1: "layer", 2: "dialogue", 3: "batch"}


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[Cosmic, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("cosmic", settings)
    text_dim, sense_dim, n_classes = (given.take(name, int) for name in ("text", "sense", "classes"))
    (combine, vector), norm = given.choose("mode1", MODES), given.choose("norm", NORMS)
    attention = given.choose("attention", {**PUBLISHED_ATTENTION, "general2": "general2-tanh"})
    values: dict[str, Any] = {
        "global_dim": given.take("global", int),
        "internal_dim": given.take("party", int),
        "external_dim": given.take("external", int),
        "intent_dim": given.take("intent", int),
        "emotion_dim": given.take("emotion", int),
        "hidden_dim": given.take("head", int),
        "attention_dim": given.take("att", int, default=100) if attention == "concat" else None,
        "listeners": given.choose("listener", {True: "update", False: "hold"}),
        "emotion_attention": given.choose("att2", {True: "general2-tanh", False: "none"}),
        "residual": given.take("residual", bool),
        "dropout": given.take("dropout", float, default=0.5),
        "recurrent_dropout": given.take("dropout_rec", float, default=0.3),
    }
    given.unused("parties", "class_weight", "att")
    given.finish()
    config = CosmicConfig(combine=combine, text_vector=vector, norm=norm, attention=attention, **values)
    inputs = {name: InputSpec(kind="vector", dim=text_dim) for name in TEXTS}
    inputs |= {name: InputSpec(kind="vector", dim=sense_dim) for name in READERS}
    system = Cosmic(config, inputs, n_classes)
    found = PublishedTensors("cosmic", tensors)
    _take_texts(found, system)
    found.module(system, "turn", "linear_in.")
    for name in system.recurrence.cells:
        _take_cell(found, system.recurrence.cell(name), name)
    take_history_attention(
        found, system.recurrence.attention, "recurrence.attention", [f"{prefix}.attention" for prefix in DIRECTIONS]
    )
    found.module(system, "head.0", "linear.")
    found.module(system, "head.3", "smax_fc.")
    if system.emotion_attention is None:
        found.dead("matchatt.")
    else:
        found.module(system, "emotion_attention.transform", "matchatt.transform.")
    found.dead("sense_gru.")
    return system, found.finish(system)


def _take_texts(found: PublishedTensors, system: Cosmic) -> None:
    """The norms and the weights of the text vectors. Those that the settings do not use have no effect."""
    letters = dict(zip(TEXTS, "abcd", strict=True))
    kind = {"layer": "norm1", "batch": "norm3"}.get(system.config.norm)
    for name in system.vectors.texts if kind else ():
        found.module(system, f"vectors.norms.{name}.norm", f"{kind}{letters[name]}.")
    if system.vectors.weights is not None:
        found.copy(system, "vectors.weights", "r_weights")
    found.dead("norm1", "norm3", "r_weights")


def _take_cell(found: PublishedTensors, cell: DirectedCell, name: str) -> None:
    """One GRU cell of both directions. Published rows have the gates r, z, n."""
    size, n_known = cell.hidden_dim, sum(cell.known.values())
    n_inputs, parts = n_known + sum(cell.states.values()), []
    for direction in DIRECTIONS:
        prefix = f"{direction}.{CELLS[name]}"
        from_inputs = found.take(f"{prefix}.weight_ih", 3 * size, n_inputs)
        from_own = found.take(f"{prefix}.weight_hh", 3 * size, size)
        bias_x, bias_h = (found.take(f"{prefix}.bias_{kind}", 3 * size) for kind in ("ih", "hh"))
        gates = bias_x[: 2 * size] + bias_h[: 2 * size]
        from_inputs = torch.cat([from_inputs[2 * size :], from_inputs[: 2 * size]]).T
        bias = torch.cat([bias_x[2 * size :], gates])
        parts.append((from_inputs[:n_known], from_inputs[n_known:], from_own.T, bias, bias_h[2 * size :]))
    names = ("from_known", "from_states", "from_own", "bias", "bias_m")
    stacked = (torch.stack(of_directions) for of_directions in zip(*parts, strict=True))
    values = dict(zip(names, stacked, strict=True))
    if cell.from_known is None:
        del values["from_known"]
    found.values.update({f"recurrence.cells.{name}.{part}": value for part, value in values.items()})
