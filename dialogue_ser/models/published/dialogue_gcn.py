"""Published weights of DialogueGCN (conv-emotion, DialogueGCN)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.dialogue_gcn import DialogueGCN, DialogueGCNConfig
from dialogue_ser.models.published.parts.attention import take_history_attention
from dialogue_ser.models.published.parts.recurrence import take_cells
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence

_CONTEXTS = {"LSTM": "lstm", "GRU": "gru", "DialogRNN": "dialogue-rnn", "None": "none", None: "none"}
_READERS = {"lstm": "lstm.", "gru": "gru.", "none": "base_linear."}


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[DialogueGCN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("dialogue-gcn", settings)
    text_dim, n_classes = given.take("text", int), given.take("classes", int)
    options = _options(given)
    bases = tensors.get("graph_net.conv1.basis")
    if bases is not None and bases.ndim:
        options["n_bases"] = len(bases)
    given.finish()
    config = DialogueGCNConfig(**options)
    system = DialogueGCN(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("dialogue-gcn", tensors)
    reader = system.context.reader
    if isinstance(reader, DialogueRecurrence):
        directions = [f"dialog_rnn_{direction}.dialogue_cell" for direction in ("f", "r")]
        take_cells(found, reader, "context.reader.", [f"{direction}." for direction in directions], text_dim)
        take_history_attention(
            found, reader.attention, "context.reader.attention", [f"{direction}.attention" for direction in directions]
        )
    else:
        found.module(system, "context.reader", _READERS[config.context])
    found.module(system, "edges", "att_model.")
    found.dead("att_model.matchatt.", "att_model.simpleatt.", "att_model.att.")
    names = {"basis": "basis", "comp": "att", "root": "root", "bias": "bias"}
    for ours, published in names.items():
        found.copy(system, f"relational.{ours}", f"graph_net.conv1.{published}")
    found.copy(system, "graph.lin_rel.weight", "graph_net.conv2.weight", transposed=True)
    found.copy(system, "graph.lin_rel.bias", "graph_net.conv2.lin.bias")
    found.copy(system, "graph.lin_root.weight", "graph_net.conv2.lin.weight")
    if system.nodal_attention is None:
        found.dead("graph_net.matchatt.")
    else:
        found.module(system, "nodal_attention.transform", "graph_net.matchatt.transform.")
    found.module(system, "head.0", "graph_net.linear.")
    found.module(system, "head.3", "graph_net.smax_fc.")
    return system, found.finish(system)


def _options(given: PublishedSettings) -> dict[str, Any]:
    """Our options of the published model."""
    windows = {ours: given.take(ours, int) for ours in ("window_past", "window_future")}
    for name, size in windows.items():
        if size < -1:
            given.problem(f"{name}: found {size}, expected -1 (all turns) or more")
    options: dict[str, Any] = {name: None if size < 0 else size for name, size in windows.items()}
    options["context"] = given.choose("base", _CONTEXTS)
    if options["context"] == "dialogue-rnn":
        options["global_dim"], options["party_dim"] = given.take("global", int), given.take("party", int)
    given.unused("global", "party")
    return options | {
        "context_dim": given.take("hidden", int),
        "graph_dim": given.take("graph", int),
        "listeners": given.choose("listener", {False: "hold", True: "update"}, default=False),
        "edge_attention": "position",
        "messages": "send",
        "relations": "speakers",
        "n_parties": given.take("parties", int),
        "n_positions": given.take("max_seq_len", int),
        "nodal_attention": given.choose("nodal_attention", {True: True, False: False}),
        "dropout": given.take("dropout", float, default=0.4),
    }
