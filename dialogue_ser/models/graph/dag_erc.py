"""DAG-ERC (Shen et al., ACL 2021; docs/equations.md): a graph from earlier to later turns, read in their order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.graphs import is_same_speaker, predecessor_edges
from dialogue_ser.batch.turns import turn_index
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.nn.graph.dag_layer import DagAttention, DagLayer
from dialogue_ser.nn.graph.dag_plan import DagPlan, dag_plan
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class DagERCConfig:
    """Options of DAG-ERC; the defaults are the published settings for MELD.

    Args:
        hidden_dim: number of units of the states and of the head's hidden layers.
        n_layers: number of layers over the graph.
        attention: weights of the turns that a turn sees. rgcn = by their states, and their states go through one matrix
            if both turns have the same speaker and through another one if not; linear = by their states and by whether
            the speaker is the same; dotprod = by the product of both states and by whether the speaker is the same.
        relations: whether linear and dotprod know that the speaker is the same. rgcn always does.
        own_turns: a turn sees the turns before it, back to the speaker's own turn that lies this many own turns back;
            null = all earlier turns.
        nodal_attention: attention of every turn over the vectors before the head: none, past (this turn and earlier
            ones) or global (all turns; the system is then not causal).
        n_head_layers: number of hidden layers of the head.
        dropout: dropout rate before the last layer of the head.
        input_dropout: dropout rate on the vector of each modality before fusion (the published system has none).
        projection: modality → size of a linear layer with tanh before the concatenation.
    """

    hidden_dim: int = 300
    n_layers: int = 2
    attention: DagAttention = "rgcn"
    relations: bool = True
    own_turns: int | None = 1
    nodal_attention: Literal["none", "past", "global"] = "none"
    n_head_layers: int = 2
    dropout: float = 0.1
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields("model dag-erc: model.options", self)
        if self.own_turns is not None and self.own_turns < 1:
            raise ConfigError(
                f"model dag-erc: model.options.own_turns: found {self.own_turns}, expected at least 1, or null for all "
                "earlier turns"
            )


class DagERC(DialogueSystem):
    """Layers over a directed acyclic graph: a turn gathers the states of the turns since its speaker last spoke.

    Utterance vectors → linear layer → layers over the graph → all states and the utterance vector side by side →
    attention over turns (an option) → head.

    The system reads earlier turns only, unless ``nodal_attention`` is global. Renaming the speakers changes nothing,
    because only the question whether two turns have one speaker matters. With ``relations`` false in linear or dotprod
    it matters for the turns that are seen only, and with ``own_turns`` null it does not matter at all.

    Source: Shen et al., Directed Acyclic Graph Network for Conversational Emotion Recognition, ACL 2021, in the form
    that its authors published. Departures: terms of the logits that softmax takes out again are not parameters (see
    :class:`~dialogue_ser.nn.graph.dag_layer.DagLayer`). The outputs are the same.

    Cost: a turn costs O(turns that it sees · H + H²), and the turns of a dialogue come one after the other. If a
    speaker is silent for long, the next turn of this speaker sees all turns since then.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "dag-erc"
    Config = DagERCConfig
    speaker_aware = True
    speaker_equivariant = True
    bidirectional_recurrence = False

    def __init__(self, config: DagERCConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.causal = config.nodal_attention != "global"
        self.speaker_aware = config.own_turns is not None or config.relations or config.attention == "rgcn"
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        size = config.hidden_dim
        self.first = nn.Linear(self.turns.out_dim, size)
        self.layers = nn.ModuleList(
            DagLayer(size, config.attention, relations=config.relations) for _ in range(config.n_layers)
        )
        joined = size * (config.n_layers + 1) + self.turns.out_dim
        self.nodal_attention = (
            None
            if config.nodal_attention == "none"
            else SequenceAttention("general2-tanh", joined, causal=config.nodal_attention == "past")
        )
        hidden = [nn.Linear(joined, size), nn.ReLU()]
        for _ in range(config.n_head_layers - 1):
            hidden += [nn.Linear(size, size), nn.ReLU()]
        self.head = nn.Sequential(*hidden, nn.Dropout(config.dropout), nn.Linear(size, n_scores))

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the weights of the seen turns in each layer, ``layer1`` …, and with
        nodal attention its weights ``all``, each ``[B, T, T]``.
        """
        x_BTD = self.turns(batch)
        n_dialogues, n_turns = x_BTD.shape[:2]
        plan = self._plan(batch, x_BTD.device)
        x_ND = to_nodes(x_BTD, plan.place_N)
        states = [torch.relu(self.first(x_ND))]
        attention = {}
        for number, layer in enumerate(self.layers, 1):
            h_NH, weights_C = layer(states[-1], plan)
            states.append(h_NH)
            if return_attention:
                weights_E = weights_C.index_select(0, plan.cell_E)
                whole = weights_E.new_zeros(n_dialogues * n_turns**2).index_copy(0, plan.edge_E, weights_E)
                attention[f"layer{number}"] = whole.view(n_dialogues, n_turns, n_turns)
        z_BTH = to_turns(torch.cat([*states, x_ND], dim=1), plan.place_N, n_dialogues, n_turns)
        if self.nodal_attention is not None:
            if return_attention:
                attention["all"] = self.nodal_attention.weights(z_BTH, batch.n_turns)
            z_BTH = self.nodal_attention(z_BTH, batch.n_turns)
        return Output(self.head(z_BTH), attention)

    def _plan(self, batch: DialogueBatch, device: torch.device) -> DagPlan:
        turns = turn_index(batch)
        edges = predecessor_edges(turns, self.config.own_turns)
        is_same_E = is_same_speaker(turns, edges)
        return dag_plan(edges, is_same_E, turns.dialogue_N, turns.position_N, turns.n_turns_B, turns.n_padded, device)

    def _first_seen(self, speakers: list[int], speaker: int) -> int:
        """The first turn that the next turn sees, if these were the speakers so far."""
        own, back = np.flatnonzero(np.array(speakers, dtype=np.int64) == speaker), self.config.own_turns
        return 0 if back is None or len(own) < back else int(own[-back])

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs what it costs in :meth:`forward`.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            raise ConfigError(
                f"model {self.name}: cannot label turn by turn, because nodal_attention global reads later turns; "
                "train it with --model.options.nodal_attention past, or use predict on the whole dialogue"
            )
        speakers: list[int] = []
        states: list[list[Tensor]] = [[] for _ in self.layers]
        joined: list[Tensor] = []

        @torch.no_grad()
        def score_turn(batch: DialogueBatch) -> Tensor:
            x_D, speaker = self.turns(batch)[0, 0], int(batch.speaker_host[0, 0])
            first = self._first_seen(speakers, speaker)
            is_same_K = torch.tensor(speakers[first:], dtype=torch.int64, device=x_D.device) == speaker
            parts = [torch.relu(self.first(x_D))]
            for layer, earlier in zip(self.layers, states, strict=True):
                seen_KH = torch.stack(earlier[first:]) if earlier[first:] else x_D.new_zeros(0, len(parts[0]))
                assert isinstance(layer, DagLayer)
                parts.append(layer.newest(parts[-1], seen_KH, is_same_K))
                earlier.append(parts[-1])
            speakers.append(speaker)
            z_H = torch.cat([*parts, x_D])
            if self.nodal_attention is not None:
                joined.append(z_H)
                z_H = self.nodal_attention.newest(torch.stack(joined))
            return self.head(z_H)  # type: ignore[no-any-return]

        return score_turn
