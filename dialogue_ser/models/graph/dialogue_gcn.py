"""DialogueGCN (Ghosal et al., EMNLP 2019; docs/equations.md): a relational graph over windows of turns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.graphs import is_same_speaker, window_edges
from dialogue_ser.batch.turns import turn_index
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.nn.graph.edge_attention import BilinearEdges, PositionEdges
from dialogue_ser.nn.graph.relational_conv import RelationalConv, SumConv
from dialogue_ser.nn.graph.turn_context import ContextKind, TurnContext
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.recurrence.wiring import Listeners
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogueGCNConfig:
    """Options of DialogueGCN; the defaults are the published settings for IEMOCAP (there are none for MELD).

    Args:
        context: what reads the turns before the graph: lstm, gru, dialogue-rnn, or none (a linear layer).
        context_dim: number of units of the context, per direction.
        n_layers: number of layers of lstm and gru.
        global_dim: number of units of the global state of dialogue-rnn.
        party_dim: number of units of the state of a party of dialogue-rnn.
        listeners: whether dialogue-rnn updates the states of listeners: update or hold.
        graph_dim: number of units of the graph's layers and of the head's hidden layer.
        window_past: number of earlier turns in the window of a turn; null = all.
        window_future: number of later turns in the window of a turn; null = all.
        edge_attention: weights of the edges. bilinear = by the states of both turns; position = the published form, in
            which the place of a turn in the dialogue decides, and not what is said.
        messages: gather = a turn gets messages from the turns in its window; send = the published form, in which a turn
            sends messages to the turns in its window.
        relations: same-speaker = an edge knows whether both turns have one speaker, and which turn is earlier; speakers
            = the published form, with a relation for each pair of party numbers (renaming the speakers then changes the
            scores).
        n_parties: number of party numbers with relations of their own; later parties share the last one.
        n_positions: number of places in a dialogue with weights of their own in position; later places share the last.
        n_bases: number of matrices that the relations mix.
        nodal_attention: attention of every turn over all turns of the dialogue after the graph.
        causal: read earlier turns only. The context then reads forwards only, a window ends at its turn
            (``window_future`` is not used), and the nodal attention sees earlier turns only.
        dropout: dropout rate between the layers of the context, inside dialogue-rnn, and on the head's hidden layer.
        input_dropout: dropout rate on the vector of each modality before fusion (the published system has none).
        projection: modality → size of a linear layer with tanh before the concatenation.
    """

    context: ContextKind = "lstm"
    context_dim: int = 100
    n_layers: int = 2
    global_dim: int = 150
    party_dim: int = 150
    listeners: Listeners = "hold"
    graph_dim: int = 100
    window_past: int | None = 10
    window_future: int | None = 10
    edge_attention: Literal["bilinear", "position"] = "bilinear"
    messages: Literal["gather", "send"] = "gather"
    relations: Literal["same-speaker", "speakers"] = "same-speaker"
    n_parties: int = 9
    n_positions: int = 110
    n_bases: int = 30
    nodal_attention: bool = True
    causal: bool = False
    dropout: float = 0.4
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = "model dialogue-gcn: model.options"
        check_fields(where, self)
        sizes = {"window_past": self.window_past, "window_future": self.window_future}
        problems = [
            f"{where}.{name}: found {size}, expected at least 0, or null for all turns"
            for name, size in sizes.items()
            if size is not None and size < 0
        ]
        if self.causal and self.edge_attention == "position":
            problems.append(f"{where}.edge_attention: position reads later turns; with causal, choose bilinear")
        if self.causal and self.messages == "send":
            problems.append(
                f"{where}.messages: send gives a turn messages of later turns, so it cannot be causal; use gather"
            )
        if problems:
            raise ConfigError(*problems)

    @property
    def future(self) -> int | None:
        """Number of later turns in a window, 0 if causal."""
        return 0 if self.causal else self.window_future

    @property
    def n_relations(self) -> int:
        """Number of relations: pairs of speakers times two directions."""
        return 2 * (2 if self.relations == "same-speaker" else self.n_parties**2)


class WindowGraph(NamedTuple):
    """The graph of a batch, on the device.

    Args:
        row_N: place of each turn in a padded tensor ``[B · T, …]``.
        turn_E: turn j of each edge (j, k), whose window has turn k.
        seen_E: turn k of each edge.
        place_E: place of each edge in a padded matrix of turns ``[B, T, T]``.
        relation_E: for each edge, the place of its relation in ``relations_R``.
        relations_R: the relations of the batch.
    """

    row_N: Tensor
    turn_E: Tensor
    seen_E: Tensor
    place_E: Tensor
    relation_E: Tensor
    relations_R: Tensor


class DialogueGCN(DialogueSystem):
    """A recurrence over the turns, then two graph layers over the window of every turn.

    Utterance vectors → recurrence → relational graph convolution with weights of edges → graph convolution → both
    outputs side by side → attention over turns (an option) → two linear layers.

    Source: Ghosal et al., DialogueGCN, EMNLP 2019, and the form that its authors published (conv-emotion). Departures
    of the default form from the published form; an option gives the published form of each but the first:

    - padding is never read. There the recurrence and the weights of edges read it;
    - weights of edges come from the states of both turns, and only turns in the window share them, as in the paper and
      in the second implementation of the same repository (``edge_attention``);
    - a turn gets messages from the turns in its window, as in the paper. There it sends messages to them, so that past
      and future change places (``messages``);
    - an edge knows whether both turns have the same speaker, not their party numbers (``relations``).

    Cost: O(turns · window · units). With unlimited windows and in ``edge_attention: position`` the time grows with the
    square of the number of turns, and the memory holds a few numbers for each pair of turns.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "dialogue-gcn"
    Config = DialogueGCNConfig
    # The recurrence may read backwards, but the relations of the graph have a direction: there is no mirror image.
    bidirectional_recurrence = False

    def __init__(self, config: DialogueGCNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.causal = config.causal
        self.speaker_equivariant = config.relations == "same-speaker"
        is_alone = config.window_past == 0 and config.future == 0  # then an edge joins a turn to itself only
        self.speaker_aware = not (self.speaker_equivariant and is_alone and config.context != "dialogue-rnn")
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.context = TurnContext(
            config.context,
            self.turns.out_dim,
            config.context_dim,
            n_layers=config.n_layers,
            global_dim=config.global_dim,
            party_dim=config.party_dim,
            listeners=config.listeners,
            dropout=config.dropout,
            causal=config.causal,
        )
        size, joined = self.context.out_dim, self.context.out_dim + config.graph_dim
        is_bilinear = config.edge_attention == "bilinear"
        self.edges = BilinearEdges(size) if is_bilinear else PositionEdges(size, config.n_positions)
        self.relational = RelationalConv(size, config.graph_dim, config.n_relations, config.n_bases)
        self.graph = SumConv(config.graph_dim)
        self.nodal_attention = (
            SequenceAttention("general2-tanh", joined, causal=config.causal) if config.nodal_attention else None
        )
        self.head = nn.Sequential(
            nn.Linear(joined, config.graph_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.graph_dim, n_scores),
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the weights of the edges, ``window``, and with nodal attention its
        weights ``all``, each ``[B, T, T]``.
        """
        g_BTH = self.context(self.turns(batch), batch.speaker_host, batch.n_turns_host)
        n_dialogues, n_turns = g_BTH.shape[:2]
        graph = self._graph(batch, g_BTH.device)
        g_NH = to_nodes(g_BTH, graph.row_N)
        if isinstance(self.edges, BilinearEdges):
            weight_E = self.edges(g_NH, graph.turn_E, graph.seen_E)
        else:
            window = (self.config.window_past, self.config.future)
            weight_E = self.edges(g_BTH, batch.n_turns, *window).flatten().index_select(0, graph.place_E)
        y_NG = self._convolve(g_NH, weight_E, graph)
        z_BTH = to_turns(torch.cat([g_NH, y_NG], dim=1), graph.row_N, n_dialogues, n_turns)
        attention = {}
        if return_attention:
            whole = weight_E.new_zeros(n_dialogues * n_turns**2).index_copy(0, graph.place_E, weight_E)
            attention["window"] = whole.view(n_dialogues, n_turns, n_turns)
        if self.nodal_attention is not None:
            if return_attention:
                attention["all"] = self.nodal_attention.weights(z_BTH, batch.n_turns)
            z_BTH = self.nodal_attention(z_BTH, batch.n_turns)
        return Output(self.head(z_BTH), attention)

    def _graph(self, batch: DialogueBatch, device: torch.device) -> WindowGraph:
        turns = turn_index(batch)
        edges = window_edges(turns, self.config.window_past, self.config.future)
        if self.config.relations == "same-speaker":
            pair_E = is_same_speaker(turns, edges).astype(np.int64)
        else:
            party_N = turns.speaker_N.clip(0, self.config.n_parties - 1)
            pair_E = party_N[edges[0]] * self.config.n_parties + party_N[edges[1]]
        relations_R, relation_E = np.unique(2 * pair_E + (edges[0] >= edges[1]), return_inverse=True)
        place_E = turns.row_N[edges[0]] * turns.n_padded + turns.position_N[edges[1]]
        return WindowGraph(*send([turns.row_N, *edges, place_E, relation_E, relations_R], device))

    def _convolve(self, g_NH: Tensor, weight_E: Tensor, graph: WindowGraph) -> Tensor:
        """The features of every turn after both layers of the graph."""
        edges = torch.stack(self._direction(graph))
        y_NG = self.relational(g_NH, edges, weight_E, graph.relation_E, graph.relations_R)
        convolved: Tensor = self.graph(y_NG, edges)
        return convolved

    def _direction(self, graph: WindowGraph) -> tuple[Tensor, Tensor]:
        """Source and target of the messages."""
        gathers = self.config.messages == "gather"
        return (graph.seen_E, graph.turn_E) if gathers else (graph.turn_E, graph.seen_E)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; it keeps the states of the turns in the window.

        A turn costs O(window), and O(turns so far) in the nodal attention.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        read = self.context.stream()
        n_kept = self.config.window_past
        g_window: list[Tensor] = []
        y_window: list[Tensor] = []
        speakers: list[int] = []
        joined: list[Tensor] = []

        @torch.no_grad()
        def score_turn(batch: DialogueBatch) -> Tensor:
            speaker = int(batch.speaker_host[0, 0])
            speakers.append(speaker)
            g_window.append(read(self.turns(batch)[0, 0], speaker))
            g_KH = torch.stack(g_window)
            n_seen = len(g_KH)
            seen_K = torch.arange(n_seen, device=g_KH.device)
            own_K = torch.full_like(seen_K, n_seen - 1)
            weight_K = self.edges(g_KH, own_K, seen_K)
            relation_K = torch.tensor(self._stream_relations(speakers), device=g_KH.device)
            edges = torch.stack([seen_K, own_K])
            relations_R = torch.arange(self.config.n_relations, device=g_KH.device)
            y_window.append(self.relational(g_KH, edges, weight_K, relation_K, relations_R)[-1])
            z_H = torch.cat([g_KH[-1], self.graph(torch.stack(y_window), edges)[-1]])
            if self.nodal_attention is not None:
                joined.append(z_H)
                z_H = self.nodal_attention.newest(torch.stack(joined))
            if n_kept is not None:
                for past in (g_window, y_window, speakers):
                    del past[: max(0, len(past) - n_kept)]
            return self.head(z_H)  # type: ignore[no-any-return]

        return score_turn

    def _stream_relations(self, speakers: list[int]) -> list[int]:
        """The relations of the newest turn to all turns of its window; none of them is later."""
        if self.config.relations == "same-speaker":
            return [2 * (speaker == speakers[-1]) + 1 for speaker in speakers]
        own, *_ = parties = [min(max(speaker, 0), self.config.n_parties - 1) for speaker in speakers[::-1]]
        return [2 * (own * self.config.n_parties + party) + 1 for party in parties[::-1]]
