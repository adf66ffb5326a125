"""The published forms of MMGCN and MM-DFN in plain loops: node by node, edge by edge, layer by layer."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tests.support.published_models import linear, linear_shapes, rnn_shapes, run_rnn

MODALITIES = {"a": "audio", "v": "visual", "l": "text"}
DIMS = {"audio": 4, "visual": 3, "text": 5}
COMMON = {**DIMS, "parties": 4, "hidden": 3, "graph": 4, "layers": 3, "modals": "avl", "classes": 3, "dropout": 0.25}
MMGCN = COMMON | {"input": 5, "av_using_lstm": False, "use_speaker": True, "use_modal": False}
MM_DFN = COMMON | {
    "alpha": 0.2, "lamda": 0.5, "gamma": 0.5, "reason_flag": True, "use_crn_speaker": True,
    "speaker_weights": "0.5-0.5-1.5", "use_speaker": False, "use_modal": False, "modal_weight": 1.0,
    "av_using_lstm": False, "use_residue": True,
}  # fmt: skip


def taking_part(settings: Mapping[str, Any]) -> list[str]:
    """Letters of the modalities, in the published order of the nodes."""
    return [letter for letter in MODALITIES if letter in settings["modals"]]


def shapes(settings: Mapping[str, Any], *, is_mm_dfn: bool) -> dict[str, tuple[int, ...]]:
    """Published names and shapes."""
    hidden, graph, kind = settings["hidden"], settings["graph"], "gru" if is_mm_dfn else "lstm"
    before, size = (2 * hidden if is_mm_dfn else settings["input"]), 2 * hidden
    found: dict[str, tuple[int, ...]] = {}
    for letter in taking_part(settings):
        recurs = letter == "l" or settings["av_using_lstm"]
        found |= linear_shapes(f"linear_{letter}.", settings[MODALITIES[letter]], before if recurs else size)
        found |= rnn_shapes(f"lstm_{letter}.", kind, before, hidden, 2) if recurs else {}
    if is_mm_dfn:
        found |= rnn_shapes("rnn_parties.", "gru", size, hidden, 2)
        found |= rnn_shapes("graph_model.graph_net.rnn.", "lstm", graph, graph, bidirectional=False)
    found |= linear_shapes("graph_model.graph_net.fcs.0.", size, graph)
    found |= {f"graph_model.graph_net.convs.{layer}.weight": (2 * graph, graph) for layer in range(settings["layers"])}
    found |= {"graph_model.speaker_embeddings.weight": (settings["parties"], size)}
    found |= {"graph_model.modal_embeddings.weight": (3, size), "graph_model.a_spk_embs.weight": (2, size)}
    found |= linear_shapes("graph_model.a_fc.", size, size) | linear_shapes("gatedatt.transform_a.", 2, 1)
    width = graph + size * settings.get("use_residue", True)
    return found | linear_shapes("smax_fc.", len(taking_part(settings)) * width, settings["classes"])


def log_probs(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """Log-probabilities of one dialogue."""
    is_mm_dfn, letters = "speaker_weights" in settings, taking_part(settings)
    kind, speaker = "gru" if is_mm_dfn else "lstm", dialogue["speaker"]
    nodes = []
    for letter in letters:
        u_TD = x_TD = linear(state, f"linear_{letter}.", dialogue[MODALITIES[letter]])
        if letter == "l" or settings["av_using_lstm"]:
            x_TD = run_rnn(state, f"lstm_{letter}.", kind, u_TD)
        if settings.get("use_crn_speaker"):
            weight = float(settings["speaker_weights"].split("-")["avl".index(letter)])
            x_TD = x_TD + weight * party_context(state, u_TD, speaker)
        if settings["use_speaker"] and letter == "l":
            x_TD = x_TD + state["graph_model.speaker_embeddings.weight"][speaker]
        if settings["use_modal"]:
            x_TD = x_TD + state["graph_model.modal_embeddings.weight"]["avl".index(letter)]
        nodes += list(x_TD)
    n_turns = len(speaker)
    adjacency = joined(nodes, n_turns, settings.get("modal_weight", 1.0))
    h_ND = layers(state, torch.stack(nodes), adjacency, settings)
    if settings.get("use_residue", True):
        h_ND = torch.cat([torch.stack(nodes), h_ND], dim=1)
    turns = [torch.cat([h_ND[m * n_turns + t] for m in range(len(letters))]) for t in range(n_turns)]
    return linear(state, "smax_fc.", torch.relu(torch.stack(turns))).log_softmax(-1)


def party_context(state: Mapping[str, Tensor], u_TD: Tensor, speaker_T: Tensor) -> Tensor:
    """What the GRU says that reads each speaker's turns, followed by zeros up to the length of the dialogue."""
    rows: dict[int, Tensor] = {}
    for party in speaker_T.unique().tolist():
        own = (speaker_T == party).nonzero()[:, 0].tolist()
        padded = torch.cat([u_TD[own], u_TD.new_zeros(len(u_TD) - len(own), u_TD.shape[1])])
        rows |= dict(zip(own, run_rnn(state, "rnn_parties.", "gru", padded), strict=False))
    return torch.stack([rows[turn] for turn in range(len(u_TD))])


def joined(nodes: list[Tensor], n_turns: int, modal_weight: float) -> Tensor:
    """The normalised matrix of all nodes, edge by edge."""
    rows = []
    for i, one in enumerate(nodes):
        row = []
        for j, other in enumerate(nodes):
            same_kind, same_turn = i // n_turns == j // n_turns, i % n_turns == j % n_turns
            cosine = 0.99999 * (one @ other) / (one.norm() * other.norm())
            weight = 1 - torch.arccos(cosine) / math.pi
            row.append(weight if same_kind else weight * modal_weight * float(same_turn))
        rows.append(torch.stack(row))
    a_NN = torch.stack(rows)
    scale_N = a_NN.sum(1) ** -0.5
    return scale_N[:, None] * a_NN * scale_N


def layers(state: Mapping[str, Tensor], x_ND: Tensor, a_NN: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """The nodes after all layers of the graph network."""
    alpha, lamda, graph = settings.get("alpha", 0.1), settings.get("lamda", 0.5), "graph_model.graph_net."
    h_NG = first_NG = torch.relu(linear(state, f"{graph}fcs.0.", x_ND))
    memory_NG = cell_NG = torch.zeros_like(h_NG)
    for layer in range(1, settings["layers"] + 1):
        read_NG = h_NG
        if settings.get("reason_flag"):
            gates = read_NG @ state[f"{graph}rnn.weight_ih_l0"].T + state[f"{graph}rnn.bias_ih_l0"]
            gates = gates + memory_NG @ state[f"{graph}rnn.weight_hh_l0"].T + state[f"{graph}rnn.bias_hh_l0"]
            i, f, g, o = gates.chunk(4, dim=1)
            cell_NG = torch.sigmoid(f) * cell_NG + torch.sigmoid(i) * torch.tanh(g)
            h_NG = memory_NG = torch.sigmoid(o) * torch.tanh(cell_NG)
        theta, sum_NG = math.log(lamda / layer + 1), a_NN @ h_NG
        mixed_NG = torch.cat([sum_NG, first_NG], dim=1) @ state[f"{graph}convs.{layer - 1}.weight"]
        h_NG = torch.relu(theta * mixed_NG + (1 - theta) * ((1 - alpha) * sum_NG + alpha * first_NG))
        if settings.get("reason_flag"):
            h_NG = h_NG + read_NG
    return h_NG
