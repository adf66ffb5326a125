"""The recurrence over a directed acyclic graph of turns as one autograd node with a backward written by hand.

A turn reads the new states of the turns that it sees, so the turns of a dialogue come one after the other. All
dialogues of a batch take a step together. Autograd alone would keep a copy of the seen states at every step, and would
compute the gradient of each weight at every step. Here the states lie in one buffer, every step looks at a part of it,
and a weight's gradient is one product over all rows.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.graph.dag_plan import DagPlan
from dialogue_ser.nn.gru.cells import Gates, Slopes


class DagInputs(NamedTuple):
    """The tensors that the recurrence reads and that get gradients. Rows are those of the plan.

    Args:
        gates_ZNG: ``[n | r | z | m]`` of both cells without the products with the message, biases included
            ``[2, N, 4H]``: of the cell whose state is the message, then of the cell whose input is the message.
        h_NH: states of the layer before.
        query_NH: what the new states of the seen turns are multiplied with: their logits.
        relation_R: added to the logits of a turn of another speaker, and of the own speaker.
        from_value: from the mean of the seen states of other speakers, and the mean of those of the own speaker, to
            the message ``[2, H, H]``; None: the message is their sum.
        from_state: from the message to ``[r | z | m]`` of the first cell ``[H, 3H]``.
        from_input: from the message to ``[n | r | z]`` of the second cell ``[H, 3H]``.
    """

    gates_ZNG: Tensor
    h_NH: Tensor
    query_NH: Tensor
    relation_R: Tensor
    from_value: Tensor | None
    from_state: Tensor
    from_input: Tensor


class _Steps:
    """The buffers of all steps and their views.

    Args:
        plan: the steps.
        inputs: what is read.
    """

    def __init__(self, plan: DagPlan, inputs: DagInputs) -> None:
        self.plan, self.inputs = plan, inputs
        like, n_turns = inputs.h_NH, plan.n_turns
        n_rows, size = like.shape
        self.gates = Gates(like.new_empty(2, size), n_turns)
        self.gates.all.copy_(inputs.gates_ZNG)
        # The states before a step: the message for the first cell, the state of the layer before for the second.
        self.before = torch.stack([torch.zeros_like(like), like])
        self.after = torch.empty_like(self.before)
        self.states_TBH = like.new_zeros(len(n_turns), max(n_turns, default=0), size)
        self.by_speaker = 1 if inputs.from_value is None else 2
        self.means = like.new_zeros(n_rows, self.by_speaker, size)
        kinds = torch.arange(1, 3, device=like.device)
        self.is_kind_RC = (plan.relation_C == kinds[:, None]).to(like.dtype)
        table = torch.cat([like.new_full((1,), -torch.inf), inputs.relation_R])
        # Logits first, weights after their step.
        self.weights_C = table.index_select(0, plan.relation_C)
        cells = plan.cells_per_step
        self.weights_at = torch.split(self.weights_C, cells)
        self.is_kind_at = torch.split(self.is_kind_RC, cells, dim=1)
        self.before_at = torch.split(self.before, n_turns, dim=1)
        self.after_at = torch.split(self.after, n_turns, dim=1)
        self.means_at = torch.split(self.means, n_turns)
        self.query_at = torch.split(inputs.query_NH, n_turns)

    def seen(self, t: int, buffer_TBH: Tensor) -> Tensor:
        """The part of a buffer that the turns of a step may see ``[n, K, H]``."""
        return buffer_TBH[self.plan.first[t] : t, : self.plan.n_turns[t]].transpose(0, 1)

    def shares(self, t: int) -> Tensor:
        """The weights of a step, divided by who speaks if that matters ``[n, 1 or 2, K]``."""
        n = self.plan.n_turns[t]
        weights_KN = self.weights_at[t].view(-1, n)
        if self.by_speaker == 1:
            return weights_KN.T[:, None]
        return (self.is_kind_at[t].view(2, -1, n) * weights_KN).permute(2, 0, 1)

    def advance(self, t: int) -> None:
        """Compute the new states of step t."""
        n, inputs = self.plan.n_turns[t], self.inputs
        before, after = self.before_at[t], self.after_at[t]
        if self.plan.first[t] < t:
            seen_NKH = self.seen(t, self.states_TBH)
            logits_KN = self.weights_at[t].view(-1, n)
            logits_KN += torch.bmm(seen_NKH, self.query_at[t][..., None])[..., 0].T
            logits_KN.copy_(torch.softmax(logits_KN, dim=0))
            torch.bmm(self.shares(t), seen_NKH, out=self.means_at[t])
            message, means = before[0], self.means_at[t].flatten(1)
            if inputs.from_value is None:
                message.copy_(means)
            else:
                torch.mm(means, inputs.from_value.flatten(0, 1), out=message)
            self.gates.state[t][0].addmm_(message, inputs.from_state)
            self.gates.inputs[t][1].addmm_(message, inputs.from_input)
        self.gates.advance(t, before, after, None)
        torch.add(after[0], after[1], out=self.states_TBH[t, :n])


class DagStates(torch.autograd.Function):
    """``DagStates.apply(plan, *inputs) -> (states, weights)``: the new states ``[N, H]`` and the weights of the cells.

    The weights get no gradient.
    """

    @staticmethod
    def forward(ctx: Any, plan: DagPlan, *tensors: Any) -> tuple[Tensor, Tensor]:
        """Compute all steps."""
        ctx.steps = steps = _Steps(plan, DagInputs(*tensors))
        for t in range(len(plan.n_turns)):
            steps.advance(t)
        ctx.mark_non_differentiable(steps.weights_C)
        return steps.after.sum(0), steps.weights_C

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states_NH: Tensor, _: Tensor) -> tuple[Any, ...]:
        """Go back through all steps."""
        return (None, *_backward(ctx.steps, d_states_NH))


def _backward(steps: _Steps, d_states_NH: Tensor) -> DagInputs:
    plan, inputs = steps.plan, steps.inputs
    slopes = Slopes(steps.gates, steps.before, None, plan.n_turns)
    d_states_TBH = torch.zeros_like(steps.states_TBH)
    d_message = torch.zeros_like(inputs.h_NH)
    d_query = torch.zeros_like(inputs.h_NH)
    d_logits_C = torch.zeros_like(steps.weights_C)
    d_message_at, d_query_at = torch.split(d_message, plan.n_turns), torch.split(d_query, plan.n_turns)
    d_logits_at = torch.split(d_logits_C, plan.cells_per_step)
    d_given_at = torch.split(d_states_NH, plan.n_turns)
    from_state, from_input = inputs.from_state.T, inputs.from_input.T
    from_value = None if inputs.from_value is None else inputs.from_value.flatten(0, 1).T
    for t in reversed(range(len(plan.n_turns))):
        n = plan.n_turns[t]
        slopes.step_back(t, (d_states_TBH[t, :n] + d_given_at[t]).expand(2, -1, -1))
        if plan.first[t] == t:
            continue
        d_here = d_message_at[t]
        torch.addmm(slopes.direct_at[t][0], slopes.state_at[t][0], from_state, out=d_here)
        d_here.addmm_(slopes.inputs_at[t][1], from_input)
        d_means = (d_here if from_value is None else d_here @ from_value).view(n, steps.by_speaker, -1)
        seen_NKH, weights_NK = steps.seen(t, steps.states_TBH), steps.weights_at[t].view(-1, n).T
        d_shares = torch.bmm(d_means, seen_NKH.mT)
        if steps.by_speaker == 2:
            d_shares = d_shares * steps.is_kind_at[t].view(2, -1, n).permute(2, 0, 1)
        through_NK = d_shares.sum(1) * weights_NK
        d_logits = through_NK - weights_NK * through_NK.sum(1, keepdim=True)
        d_logits_at[t].view(-1, n).copy_(d_logits.T)
        torch.bmm(d_logits[:, None], seen_NKH, out=d_query_at[t][:, None])
        by_cell = torch.cat([steps.shares(t), d_logits[:, None]], dim=1)
        d_seen = torch.bmm(by_cell.mT, torch.cat([d_means, steps.query_at[t][:, None]], dim=1))
        steps.seen(t, d_states_TBH).add_(d_seen)
    message, by_gate = steps.before[0], torch.cat([slopes.inputs, slopes.m], dim=-1)
    d_value = None
    if inputs.from_value is not None:
        d_value = (steps.means.flatten(1).T @ d_message).view_as(inputs.from_value)
    return DagInputs(
        gates_ZNG=by_gate,
        h_NH=torch.cat([direct[1] for direct in slopes.direct_at]),
        query_NH=d_query,
        relation_R=steps.is_kind_RC @ d_logits_C,
        from_value=d_value,
        from_state=message.T @ slopes.state[0],
        from_input=message.T @ slopes.inputs[1],
    )
