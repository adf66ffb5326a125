"""Published weights of M3NET (feiyuchen7/M3NET)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.m3net import M3NET, M3NETConfig
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors

#: Names of the four vectors of the text, and the letters of their norms.
TEXTS = {"text1": "a", "text2": "b", "text3": "c", "text4": "d"}
OTHERS = {"audio": "a", "visual": "v"}
#: Rows of the published vectors of modalities (audio, visual, text) in our order (text, audio, visual).
MODALITY_ROWS = [2, 0, 1]


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[M3NET, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("m3net", settings)
    dims = {name: given.take(name, int) for name in ("text", "audio", "visual")}
    n_classes, use_speaker = given.take("classes", int), given.take("use_speaker", bool)
    n_weights = [_length(tensors, f"graph_model.{name}") for name in ("hyperedge_weight", "EW_weight")]
    options: dict[str, Any] = {
        "norm": given.choose("norm", {"BN": "batch", "LN": "layer", "LN2": "dialogue"}),
        "text_layer": given.choose("dataset", {"MELD": False, "IEMOCAP": True}),
        "turn_dim": given.take("global", int),
        "hidden_dim": given.take("graph", int),
        "hypergraph_layers": given.take("num_L", int),
        "pair_layers": given.take("num_K", int),
        "residual": given.take("use_residue", bool),
        "speakers": "number" if use_speaker else "none",
        "n_speakers": given.take("parties", int),
        "modality_vectors": given.take("use_modal", bool),
        "other_recurrence": given.take("av_using_lstm", bool),
        "weights_by_place": True,
        "n_hyperedge_weights": n_weights[0],
        "n_node_weights": n_weights[1],
        "dropout": given.take("dropout", float, default=0.4),
    }
    given.finish()
    config = M3NETConfig(**options)
    sizes = {**dict.fromkeys(TEXTS, dims["text"]), "audio": dims["audio"], "visual": dims["visual"]}
    system = M3NET(config, {name: InputSpec(kind="vector", dim=size) for name, size in sizes.items()}, n_classes)
    found = PublishedTensors("m3net", tensors)
    _take_inputs(found, system)
    _take_graph(found, system)
    return system, found.finish(system)


def _length(tensors: Mapping[str, Tensor], name: str) -> int:
    """The length of a published table; a missing one is named later."""
    return max(1, len(tensors[name])) if name in tensors and tensors[name].ndim else 1


def _take_inputs(found: PublishedTensors, system: M3NET) -> None:
    """Norms, linear layers, recurrences."""
    norm = {"batch": "normBN", "layer": "normLN"}.get(system.config.norm)
    for name, letter in TEXTS.items():
        if norm is not None:
            found.module(system, f"branches.text.norms.{name}.norm", f"{norm}{letter}.")
    found.module(system, "branches.text.rnn", "gru_l.")
    if system.config.text_layer:
        found.module(system, "branches.text.layer", "linear_l.")
    for name, letter in OTHERS.items():
        found.module(system, f"branches.{name}.layer", f"linear_{letter}.")
        if system.config.other_recurrence:
            found.module(system, f"branches.{name}.rnn", f"gru_{letter}.")
    found.dead("normBN", "normLN", "linear_l.", "hidfc.")


def _take_graph(found: PublishedTensors, system: M3NET) -> None:
    """Tables, layers of the graph, head."""
    found.copy(system, "edge_weights.weight", "graph_model.hyperedge_weight")
    found.copy(system, "node_weights.weight", "graph_model.EW_weight")
    if system.speakers is not None:
        found.module(system, "speakers", "graph_model.speaker_embeddings.")
    if system.modalities is not None:
        shape = system.modalities.weight.shape
        found.values["modalities.weight"] = found.take("graph_model.modal_embeddings.weight", *shape)[MODALITY_ROWS]
    found.module(system, "input", "graph_model.fc1.")
    for layer in range(system.config.hypergraph_layers):
        found.copy(system, f"hyper.{layer}.bias", f"graph_model.hyperconv{layer + 1}.bias")
        found.dead(*(f"graph_model.hyperconv{layer + 1}.{name}" for name in ("weight", "edgeweight", "edgefc.")))
    for layer in range(system.config.pair_layers):
        found.module(system, f"pairs.{layer}.gate", f"graph_model.conv{layer + 1}.gate.")
    found.module(system, "head.2", "smax_fc.")
    found.dead("graph_model.speaker_embeddings.", "graph_model.modal_embeddings.", "graph_model.hyperedge_attr")
