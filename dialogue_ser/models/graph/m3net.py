"""M3NET (Chen et al., CVPR 2023): hyperedges over dialogues and turns beside gated pairs, over several modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.graphs import hypergraph
from dialogue_ser.batch.turns import TurnIndex, speech_order, turn_index
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.models.modalities import by_kind, same_size, say_missing
from dialogue_ser.nn.context import make_rnn, read_dialogues
from dialogue_ser.nn.graph.hypergraph import HighFrequencyConvolution, HypergraphConvolution
from dialogue_ser.nn.graph.place_weights import PlaceWeights
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.transfer import send
from dialogue_ser.nn.vectors.turn_norm import TurnNorm, TurnNormKind
from dialogue_ser.options import check_fields

Nodes = Float[Tensor, "node feature"]


@dataclass(frozen=True, kw_only=True, slots=True)
class M3NETConfig:
    """Options of M3NET; the defaults are the published settings for MELD, but for the speakers.

    Args:
        norm: norm of each vector of the text: batch, layer, dialogue (all numbers of a dialogue together) or none.
        text_layer: a linear layer before the GRU of the text (the published form for IEMOCAP).
        turn_dim: size of the vectors of turns before the graph, an even number; the GRU has half of it per direction.
        hidden_dim: number of units of the graph's nodes.
        hypergraph_layers: number of convolutions over hyperedges; may be 0.
        pair_layers: number of convolutions over pairs; may be 0.
        residual: the head also reads the vectors before the graph.
        speakers: order adds a vector for the speaker's place in the order in which the speakers first speak; number
            adds one for the speaker's number, as published; none adds nothing.
        n_speakers: number of such vectors. All later speakers share the last one.
        modality_vectors: add a vector for each modality.
        other_recurrence: a GRU over the other modalities too.
        weights_by_place: weights of hyperedges and nodes by their place in the dialogue. Only published weights need
            them.
        n_hyperedge_weights: length of the table of weights of hyperedges.
        n_node_weights: length of the table of weights of nodes.
        dropout: dropout rate between the layers of a GRU and before the head.
    """

    norm: TurnNormKind = "batch"
    text_layer: bool = False
    turn_dim: int = 1024
    hidden_dim: int = 512
    hypergraph_layers: int = 3
    pair_layers: int = 3
    residual: bool = False
    speakers: Literal["order", "number", "none"] = "order"
    n_speakers: int = 9
    modality_vectors: bool = False
    other_recurrence: bool = False
    weights_by_place: bool = False
    n_hyperedge_weights: int = 1000
    n_node_weights: int = 5200
    dropout: float = 0.4

    def __post_init__(self) -> None:
        where = "model m3net: model.options"
        check_fields(where, self)
        problems = [
            f"{where}.{name}: found {getattr(self, name)}, expected at least 0"
            for name in ("hypergraph_layers", "pair_layers")
            if getattr(self, name) < 0
        ]
        if self.turn_dim % 2:
            problems.append(f"{where}.turn_dim: found {self.turn_dim}, expected an even number")
        if problems:
            raise ConfigError(*problems)


class M3NET(DialogueSystem):
    """Every turn is a node in each of M modalities; two stacks of convolutions read the same nodes side by side.

    Text: the mean of its normalised vectors → GRU in both directions. Every other modality: a linear layer. One stack
    smooths over hyperedges: all turns of a modality, and all modalities of a turn. The other one adds gated differences
    over all pairs of turns of a modality and all pairs of modalities of a turn. A linear layer reads both, for all
    modalities of a turn.

    Source: Chen, Shao, Zhu and Shen, "Multivariate, Multi-frequency and Multimodal: Rethinking Graph Neural Networks
    for Emotion Recognition in Conversation", CVPR 2023, in the form that its authors published (M3NET).

    Departures from that implementation:

    * The GRU never reads padding, batch norm takes its statistics from real turns, and the norm ``dialogue`` does not
      count padding.
    * Speakers: the published system has a vector for each number of a speaker (``speakers: number``, which clears
      ``speaker_equivariant``). By default the order in which the speakers first speak replaces the numbers. It is the
      same where speakers are numbered in that order. The vector is added to the text, or to the first modality of a
      run without text.
    * Hyperedges and nodes have no weights. The published weights belong to places in the batch; with
      ``weights_by_place`` every dialogue counts its places from 0, so it has the weights that the published system
      gives it alone, in any batch. Places beyond the tables have the weight 1.
    * Any number of vectors of the text, and any modalities. Several inputs of another modality are concatenated. A turn
      that lacks a modality has a node with the vector 0 before the graph; a text that lacks some of its vectors has the
      mean of the others.

    Cost: a batch has M · T² gates per dialogue and layer, T being its longest dialogue. They are computed in parts if
    they are many, so memory grows with T, and time with T².

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: the vectors of the text have different sizes.
    """

    name = "m3net"
    Config = M3NETConfig
    speaker_aware = True
    speaker_equivariant = True
    causal = False
    bidirectional_recurrence = True

    def __init__(self, config: M3NETConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.speaker_aware = config.speakers != "none"
        self.speaker_equivariant = config.speakers != "number"
        say_missing(self.name, ("text", "audio", "visual"), inputs, "they have no nodes in its graph")
        self.turns = TurnVectors(inputs)
        kinds = by_kind(inputs)
        self.branches = nn.ModuleDict(
            {
                kind: (TextBranch if kind == "text" else LinearBranch)({n: self.turns.dims[n] for n in names}, config)
                for kind, names in kinds.items()
            }
        )
        # Who speaks first changes when the dialogue is read backwards, so the whole is no longer the same then.
        has_gru = any(branch.rnn is not None for branch in self.branches.values())
        self.bidirectional_recurrence = has_gru and config.speakers != "order"
        self.speaker_kind = "text" if "text" in kinds else next(iter(kinds))
        self.speakers = nn.Embedding(config.n_speakers, config.turn_dim) if self.speaker_aware else None
        self.modalities = nn.Embedding(len(kinds), config.turn_dim) if config.modality_vectors else None
        self.input = nn.Linear(config.turn_dim, config.hidden_dim)
        self.hyper = nn.ModuleList(HypergraphConvolution(config.hidden_dim) for _ in range(config.hypergraph_layers))
        self.pairs = nn.ModuleList(HighFrequencyConvolution(config.hidden_dim) for _ in range(config.pair_layers))
        self.edge_weights = PlaceWeights(config.n_hyperedge_weights) if config.weights_by_place else None
        self.node_weights = PlaceWeights(config.n_node_weights) if config.weights_by_place else None
        node_dim = 2 * config.hidden_dim + config.turn_dim * config.residual
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.ReLU(), nn.Linear(len(kinds) * node_dim, n_scores))

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; there is no attention."""
        index = turn_index(batch)
        (row_N,) = send([index.row_N], batch.speaker.device)
        x_VD = self._nodes(batch, index, row_N)
        h_VH = self.input(x_VD)
        h_VH = h_VH.to(torch.promote_types(h_VH.dtype, torch.float32))  # sums over a dialogue need full precision
        parts = [x_VD] if self.config.residual else []
        parts += [self._smooth(h_VH, index), self._differ(h_VH, batch, row_N)]
        node_VF = torch.cat(parts, dim=1)
        turn_NF = node_VF.view(len(self.branches), len(index), -1).transpose(0, 1).flatten(1)
        return Output(to_turns(self.head(turn_NF), row_N, *batch.speaker.shape), {})

    def _nodes(self, batch: DialogueBatch, index: TurnIndex, row_N: Tensor) -> Nodes:
        """The nodes before the graph, modality after modality."""
        vectors = self.turns.vectors(batch)
        found: dict[str, Nodes] = {
            kind: to_nodes(branch(vectors, batch), row_N) for kind, branch in self.branches.items()
        }
        if self.speakers is not None:
            number_N = speech_order(index) if self.config.speakers == "order" else np.maximum(index.speaker_N, 0)
            (number,) = send([np.minimum(number_N, self.config.n_speakers - 1)], row_N.device)
            found[self.speaker_kind] = found[self.speaker_kind] + self.speakers(number)
        nodes = list(found.values())
        if self.modalities is not None:
            nodes = [x_ND + own_D for x_ND, own_D in zip(nodes, self.modalities.weight, strict=True)]
        return torch.cat(nodes)

    def _smooth(self, h_VH: Nodes, index: TurnIndex) -> Nodes:
        """The stack over hyperedges."""
        graph = hypergraph(index, len(self.branches))
        size_E = np.bincount(graph.incidences[1])
        flat, size, place_V, place_E = send([graph.incidences, size_E, graph.place_V, graph.place_E], h_VH.device)
        incidences = flat.view(2, -1)
        node_divisor_V, edge_divisor_E = h_VH.new_full((len(h_VH),), 2.0), size.to(h_VH.dtype)
        if self.edge_weights is not None and self.node_weights is not None:
            node_V, edge_E = self.node_weights(place_V), self.edge_weights(place_E)
            node_divisor_V = _sums(edge_E, incidences[1], incidences[0], len(node_V))
            edge_divisor_E = _sums(node_V, incidences[0], incidences[1], len(edge_E))
        scales = _reciprocal(node_divisor_V), _reciprocal(edge_divisor_E)
        for layer in self.hyper:
            h_VH = layer(h_VH, incidences, *scales)
        return h_VH

    def _differ(self, h_VH: Nodes, batch: DialogueBatch, row_N: Tensor) -> Nodes:
        """The stack over pairs."""
        n_modalities, (n_dialogues, n_turns) = len(self.branches), batch.speaker.shape
        place_VM = row_N + torch.arange(n_modalities, device=row_N.device)[:, None] * (n_dialogues * n_turns)
        place_V = place_VM.flatten()
        g_BMTH = to_turns(h_VH, place_V, n_modalities * n_dialogues, n_turns)
        g_BMTH = g_BMTH.view(n_modalities, n_dialogues, n_turns, -1).transpose(0, 1)
        degree_B = batch.n_turns + n_modalities - 2
        scale_BT = batch.is_real_turn / degree_B.clamp_min(1)[:, None].to(h_VH.dtype)
        for layer in self.pairs:
            g_BMTH = layer(g_BMTH, scale_BT)
        return g_BMTH.transpose(0, 1).flatten(0, 2).index_select(0, place_V)


class TextBranch(nn.Module):
    """The mean of the normalised vectors of the text, then a GRU over the turns in both directions.

    Args:
        dims: inputs of the text → sizes of their vectors.
        config: options of the system.
    """

    def __init__(self, dims: Mapping[str, int], config: M3NETConfig) -> None:
        super().__init__()
        dim = same_size(M3NET.name, dims, "the mean of them needs equal sizes")
        self.norms = nn.ModuleDict({name: TurnNorm(config.norm, dim) for name in dims})
        self.layer = nn.Linear(dim, config.turn_dim) if config.text_layer else None
        self.rnn = _gru(config.turn_dim if config.text_layer else dim, config)

    def forward(self, vectors: Mapping[str, Tensor], batch: DialogueBatch) -> Tensor:
        """The vectors ``[B, T, turn_dim]``."""
        normal = [norm(vectors[name], batch.is_present[name]) for name, norm in self.norms.items()]
        count_BT = torch.stack([batch.is_present[name] for name in self.norms]).sum(0)
        x_BTD = torch.stack(normal).sum(0) / count_BT.clamp_min(1)[..., None]
        x_BTD = x_BTD if self.layer is None else self.layer(x_BTD)
        return read_dialogues(self.rnn, x_BTD, batch.n_turns_host)


class LinearBranch(nn.Module):
    """A linear layer over the vectors of a modality, and a GRU if it is asked for.

    Args:
        dims: inputs of the modality → sizes of their vectors, which are concatenated.
        config: options of the system.
    """

    def __init__(self, dims: Mapping[str, int], config: M3NETConfig) -> None:
        super().__init__()
        self.names: Sequence[str] = list(dims)
        self.layer = nn.Linear(sum(dims.values()), config.turn_dim)
        self.rnn = _gru(config.turn_dim, config) if config.other_recurrence else None

    def forward(self, vectors: Mapping[str, Tensor], batch: DialogueBatch) -> Tensor:
        """The vectors ``[B, T, turn_dim]``; 0 before the GRU where a turn lacks the modality."""
        is_present_BT = torch.stack([batch.is_present[name] for name in self.names]).any(0)
        x_BTD = self.layer(torch.cat([vectors[name] for name in self.names], dim=-1))
        x_BTD = x_BTD.masked_fill(~is_present_BT[..., None], 0.0)
        return x_BTD if self.rnn is None else read_dialogues(self.rnn, x_BTD, batch.n_turns_host)


def _gru(in_dim: int, config: M3NETConfig) -> nn.RNNBase:
    return make_rnn("gru", in_dim, config.turn_dim // 2, n_layers=2, dropout=config.dropout)


def _sums(weight: Tensor, source_I: Tensor, target_I: Tensor, n_targets: int) -> Tensor:
    """For each target, the sum of the weights of its sources."""
    return weight.new_zeros(n_targets).index_add(0, target_I, weight.index_select(0, source_I))


def _reciprocal(divisor: Tensor) -> Tensor:
    """1 / divisor, and 0 where it is 0, as in the published layer."""
    is_zero = divisor == 0
    return torch.where(is_zero, 0.0, 1.0 / torch.where(is_zero, 1.0, divisor))
