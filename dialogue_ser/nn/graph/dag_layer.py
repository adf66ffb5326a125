"""One layer of DAG-ERC: every turn gathers the new states of the turns that it sees, then two GRU cells read it."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dialogue_ser.nn.graph.dag_plan import DagPlan
from dialogue_ser.nn.graph.dag_states import DagInputs, DagStates

DagAttention = Literal["rgcn", "linear", "dotprod"]


class DagLayer(nn.Module):
    """h'_i = GRU_c(h_i, M_i) + GRU_p(M_i, h_i), where M_i is the weighted mean of the new states that turn i sees.

    The logit of a seen turn j is w·h'_j (rgcn, linear) or (W_q h_i + b)·W_k h'_j (dotprod), plus u·e for linear and
    dotprod, where e says whether both turns have one speaker. With rgcn the seen states go through one matrix if the
    speaker is the same, and through another one if not. A turn that sees nothing has M = 0.

    The published logits have further terms (the turn's own state in rgcn and linear, and some biases). They are equal
    for all turns that a turn sees, so softmax takes them out again: they change no output and get no gradient. They are
    not parameters here.

    Args:
        dim: H.
        attention: rgcn, linear or dotprod.
        relations: whether linear and dotprod know who speaks.
    """

    def __init__(self, dim: int, attention: DagAttention, *, relations: bool = True) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim) if attention == "dotprod" else None
        self.key = nn.Linear(dim, dim, bias=False) if attention == "dotprod" else None
        self.score = None if attention == "dotprod" else nn.Linear(dim, 1, bias=False)
        self.value_other = nn.Linear(dim, dim, bias=False) if attention == "rgcn" else None
        self.value_same = nn.Linear(dim, dim, bias=False) if attention == "rgcn" else None
        has_relations = relations and attention != "rgcn"
        self.relation = nn.Embedding(2, dim) if has_relations else None
        self.relation_score = nn.Linear(dim, 1, bias=False) if has_relations else None
        self.context_cell = nn.GRUCell(dim, dim)
        self.turn_cell = nn.GRUCell(dim, dim)

    def forward(
        self, h_NH: Float[Tensor, "row hidden"], plan: DagPlan
    ) -> tuple[Float[Tensor, "row hidden"], Float[Tensor, " cell"]]:
        """The new states, and the weights of all cells of the plan.

        Args:
            h_NH: states of the layer before, in the order of the plan.
            plan: the steps.
        """
        with torch.autocast(h_NH.device.type, enabled=False):
            h_NH = h_NH.to(self.context_cell.weight_hh.dtype)
            states_NH, weights_C = DagStates.apply(plan, *self._inputs(h_NH))  # type: ignore[no-untyped-call]
        return states_NH, weights_C

    def newest(
        self,
        h_H: Float[Tensor, " hidden"],
        seen_KH: Float[Tensor, "seen hidden"],
        is_same_K: Bool[Tensor, " seen"],
    ) -> Float[Tensor, " hidden"]:
        """The new state of one turn, for a dialogue that is still going on.

        Args:
            h_H: state of the turn in the layer before.
            seen_KH: new states of the turns that it sees.
            is_same_K: whether they have the turn's speaker.
        """
        h_1H = h_H[None]
        message_1H = torch.zeros_like(h_1H)
        if len(seen_KH):
            own = is_same_K.long()
            logits_K = (seen_KH * self._queries(h_1H)).sum(1) + self._relation_logits().index_select(0, own)
            weights_1K = torch.softmax(logits_K, dim=0)[None]
            if self.value_same is None or self.value_other is None:
                message_1H = weights_1K @ seen_KH
            else:
                message_1H = self.value_same((weights_1K * own) @ seen_KH)
                message_1H = message_1H + self.value_other((weights_1K * (1 - own)) @ seen_KH)
        new_1H: Tensor = self.context_cell(h_1H, message_1H) + self.turn_cell(message_1H, h_1H)
        return new_1H[0]

    def _queries(self, h_NH: Tensor) -> Tensor:
        """What the seen states are multiplied with ``[N, H]``."""
        if self.query is None or self.key is None:
            assert self.score is not None
            return self.score.weight.expand(len(h_NH), -1)
        return self.query(h_NH) @ self.key.weight  # type: ignore[no-any-return]

    def _relation_logits(self) -> Tensor:
        """The terms of a turn of another speaker and of the own speaker ``[2]``."""
        if self.relation is None or self.relation_score is None:
            return self.context_cell.bias_hh.new_zeros(2)
        return self.relation_score(self.relation.weight)[:, 0]  # type: ignore[no-any-return]

    def _inputs(self, h_NH: Tensor) -> DagInputs:
        size = h_NH.shape[1]
        w, b = _candidate_first(self.context_cell.weight_ih), _candidate_first(self.context_cell.bias_ih)
        b_h = self.context_cell.bias_hh
        b = b + torch.cat([torch.zeros_like(b_h[:size]), b_h[: 2 * size]])
        of_context = [nn.functional.linear(h_NH, w, b), b_h[2 * size :].expand(len(h_NH), -1)]
        b_x, b_h = self.turn_cell.bias_ih, self.turn_cell.bias_hh
        b = b_h + torch.cat([b_x[: 2 * size], torch.zeros_like(b_x[:size])])
        of_turn = [b_x[2 * size :].expand(len(h_NH), -1), nn.functional.linear(h_NH, self.turn_cell.weight_hh, b)]
        values = None
        if self.value_other is not None and self.value_same is not None:
            values = torch.stack([self.value_other.weight.T, self.value_same.weight.T])
        return DagInputs(
            gates_ZNG=torch.stack([torch.cat(of_context, dim=1), torch.cat(of_turn, dim=1)]),
            h_NH=h_NH,
            query_NH=self._queries(h_NH),
            relation_R=self._relation_logits(),
            from_value=values,
            from_state=self.context_cell.weight_hh.T,
            from_input=_candidate_first(self.turn_cell.weight_ih).T,
        )


def _candidate_first(weight: Tensor) -> Tensor:
    """The row blocks r, z, n of torch in the order n, r, z."""
    size = len(weight) // 3
    return torch.cat([weight[2 * size :], weight[: 2 * size]])
