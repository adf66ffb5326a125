"""The part that CMN and ICON share: a query reads its history (of its speaker, of all others) in several hops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import Ints, TurnIndex, steps_within, turn_index
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream
from dialogue_ser.models.recurrent.history_plan import HistoryPlan, plan_histories
from dialogue_ser.nn.attention import masked_softmax
from dialogue_ser.nn.gru.reset_first import ResetFirstGRU
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields

#: Most steps of histories that are computed together; more are computed in parts, and in backward again.
MOST_STEPS = 2**14


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryNetworkConfig:
    """Options that CMN and ICON have in common; the defaults are the published settings.

    Args:
        hidden_dim: number of units of the query, of all recurrences and of the memories.
        history: number of earlier turns that a turn sees.
        hops: number of times that the query reads the memories.
        dropout: dropout rate on the outputs of the recurrences over histories, and on the weights of the attention.
        window_padding: the recurrence over a memory first reads a step of zeros for every turn by which the history
            is shorter than ``history``, as the published implementation does. Then no two turns share a memory, so
            it costs more.
        input_dropout: dropout rate on the vector of each modality before fusion (the published system has none).
        projection: modality → size of a linear layer with tanh before the concatenation.
    """

    hidden_dim: int = 100
    history: int = 40
    hops: int = 3
    dropout: float = 0.7
    window_padding: bool = False
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)


def check_options(name: str, config: MemoryNetworkConfig) -> None:
    """Check types and ranges of the options.

    Raises:
        ConfigError: options do not fit; the error names all of them.
    """
    check_fields(f"model {name}: model.options", config)
    sizes = {"history": config.history, "hops": config.hops}
    problems = [
        f"model {name}: model.options.{option}: found {value}, expected at least 1"
        for option, value in sizes.items()
        if value < 1
    ]
    if problems:
        raise ConfigError(*problems)


class MemoryNetwork(DialogueSystem):
    """A query reads memories of its history in several hops. Subclasses make the memories and read them.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    speaker_aware = True
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config: MemoryNetworkConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.query = nn.Linear(self.turns.out_dim, config.hidden_dim)
        self.own = ResetFirstGRU(self.turns.out_dim, config.hidden_dim)
        self.others = ResetFirstGRU(self.turns.out_dim, config.hidden_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_dim, n_scores)

    def answer(
        self, q_QH: Tensor, own: Tensor, others: Tensor, plan: HistoryPlan
    ) -> tuple[Float[Tensor, "query hidden"], dict[str, Float[Tensor, "query past"]]]:
        """The query after the last hop, and the weights of every hop by name.

        Args:
            q_QH: the first query.
            own: outputs of the recurrence over the speaker's own turns, per step of ``plan.own``.
            others: the same for the turns of all others.
            plan: the histories.
        """
        raise NotImplementedError

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; with ``return_attention`` also the weights ``[B, T, T]`` of every hop."""
        turns, x_BTD = turn_index(batch), self.turns(batch)
        (row_N,) = send([turns.row_N], x_BTD.device)
        scores_NS, weights = self._answers(to_nodes(x_BTD, row_N), turns, return_attention)
        n_dialogues, n_turns = batch.is_real_turn.shape
        attention = {name: value.view(n_dialogues, n_turns, n_turns) for name, value in weights.items()}
        return Output(to_turns(scores_NS, row_N, n_dialogues, n_turns), attention)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(history)."""
        vectors: list[Tensor] = []
        speakers: list[int] = []

        def score_turn(batch: DialogueBatch) -> Tensor:
            vectors.append(self.turns(batch)[0, 0])
            speakers.append(int(batch.speaker[0, 0]))
            del vectors[: -self.config.history - 1], speakers[: -self.config.history - 1]
            n_turns = len(vectors)
            turns = TurnIndex(
                np.array([n_turns]), n_turns, np.zeros(n_turns, np.int64), np.arange(n_turns), np.array(speakers)
            )
            with torch.autocast(vectors[0].device.type, enabled=False):
                return self._part(_full(torch.stack(vectors)), turns, np.array([n_turns - 1]))[0][0]

        return score_turn

    def _answers(
        self, x_ND: Tensor, turns: TurnIndex, return_attention: bool
    ) -> tuple[Float[Tensor, "turn score"], dict[str, Tensor]]:
        """Scores of all turns and, on request, the weights of every hop in ``[B · T · T]``."""
        scores, tables, edges = [], [], []
        parts = list(_parts(np.minimum(turns.position_N, self.config.history)))
        with torch.autocast(x_ND.device.type, enabled=False):
            x_ND = _full(x_ND)
            for query_Q in parts:
                if len(parts) > 1 and torch.is_grad_enabled():
                    scores_QS, weights = checkpoint(self._part, x_ND, turns, query_Q, use_reentrant=False)
                else:
                    scores_QS, weights = self._part(x_ND, turns, query_Q)
                scores.append(scores_QS)
                if return_attention:
                    tables.append(weights)
                    edges.append(self._shown(turns, query_Q, x_ND.device))
        return torch.cat(scores), _spread(tables, edges, len(turns.n_turns_B) * turns.n_padded**2)

    def _shown(self, turns: TurnIndex, query_Q: Ints, device: torch.device) -> list[Tensor]:
        """For every pair of a query and a turn of its history: its place in [Q · L], and its place in [B · T · T]."""
        length_Q = np.minimum(turns.position_N[query_Q], self.config.history)
        query_E, step_E = np.repeat(np.arange(len(query_Q)), length_Q), steps_within(length_Q)
        node_E = query_Q[query_E]
        seen_E = turns.position_N[node_E] - length_Q[query_E] + step_E
        width = max(1, int(length_Q.max(initial=0)))
        return send([query_E * width + step_E, turns.row_N[node_E] * turns.n_padded + seen_E], device)

    def _part(self, x_ND: Tensor, turns: TurnIndex, query_Q: Ints) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of some turns, and the weights of every hop ``[Q, L]``."""
        config = self.config
        plan = plan_histories(turns, query_Q, config.history, x_ND.device, is_shared=not config.window_padding)
        q_QH = torch.tanh(self.query(x_ND.index_select(0, plan.query)))
        own, others = (
            self.dropout(gru(gru.project(x_ND).index_select(0, sequences.source), sequences.sizes))
            for gru, sequences in ((self.own, plan.own), (self.others, plan.others))
        )
        q_QH, weights = self.answer(q_QH, own, others, plan)
        return self.head(q_QH), weights

    def memory(self, gru: ResetFirstGRU, given: Tensor, plan: HistoryPlan) -> Float[Tensor, "step hidden"]:
        """The states of a recurrence over all turns of the histories, per packed step.

        Args:
            gru: the recurrence.
            given: what it reads: its projection of every packed step.
            plan: the histories.
        """
        first = None
        if self.config.window_padding:
            first = gru.idle_states(self.config.history).index_select(0, plan.missing)
        states: Tensor = gru(given, plan.memory_sizes, first)
        return states

    def table(self, memory: Tensor, plan: HistoryPlan) -> Float[Tensor, "query past hidden"]:
        """The memory of every query, 0 where the history is shorter than the longest one."""
        n_queries, width = plan.is_visible.shape
        table = memory.new_zeros(n_queries * width, memory.shape[1])
        return table.index_copy(0, plan.cell, memory.index_select(0, plan.entry)).view(n_queries, width, -1)

    def weigh(self, q_QH: Tensor, table_QLH: Tensor, plan: HistoryPlan) -> Float[Tensor, "query past"]:
        """Softmax over the history of tanh(q · m), with dropout, and 0 elsewhere."""
        logits_QL = torch.tanh((table_QLH @ q_QH[:, :, None])[:, :, 0])
        weights: Tensor = self.dropout(masked_softmax(logits_QL, plan.is_visible))
        return weights


def _spread(
    tables: Sequence[Mapping[str, Tensor]], edges: Sequence[Sequence[Tensor]], size: int
) -> dict[str, Float[Tensor, " pair"]]:
    """The weights of all parts of the queries in one table per hop.

    Args:
        tables: for each part, name of the hop → weights.
        edges: for each part, places in its table and places in the large one.
        size: number of places of the large one.
    """
    found = {}
    for name in tables[0] if tables else ():
        parts = zip(tables, edges, strict=True)
        values = torch.cat([weights[name].reshape(-1).index_select(0, places[0]) for weights, places in parts])
        found[name] = values.new_zeros(size).index_copy(0, torch.cat([places[1] for places in edges]), values)
    return found


def _full(x_ND: Tensor) -> Tensor:
    """At least single precision: a recurrence over a history does not run in less."""
    return x_ND.to(torch.promote_types(x_ND.dtype, torch.float32))


def _parts(length_N: Ints) -> Iterator[Ints]:
    """All turns, or, if their histories have many steps together, parts of them."""
    part_N = np.cumsum(length_N) // MOST_STEPS
    edges = np.flatnonzero(np.diff(part_N)) + 1
    yield from np.split(np.arange(len(length_N)), edges)
