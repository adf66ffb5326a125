"""The emotion states: a GRU over packed dialogues whose inputs are all known in advance (equation (7)).

No other cell reads an emotion state. The emotion states are therefore computed after the loop. The step is the same as
in :mod:`dialogue_ser.nn.recurrence.manual`, without parties and without attention: there is one autograd node, one
product serves both directions, and the slopes of all rows are computed at once. The chain replaces two passes of
``torch.nn.GRU`` over packed sequences.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.gru.cells import Gates, Slopes, gru, split_by_step
from dialogue_ser.nn.recurrence.layout import PackedLayout, Step


def autograd_chain(
    gates_x: Tensor, weight: Tensor, bias_m: Tensor, start: Tensor, mask: Tensor | None, steps: Sequence[Step]
) -> Tensor:
    """Return the states ``[K, N, H]`` of :class:`Chain` by a simple loop that autograd can follow.

    The arguments are described there.
    """
    h = start.expand(-1, steps[0].n_active, -1)
    states = []
    gates_x_at = torch.split(gates_x, [step.n_active for step in steps], dim=1)
    for step, gates in zip(steps, gates_x_at, strict=True):
        h = h[:, : step.n_active]
        gates_h = torch.bmm(h, weight)
        size = h.shape[-1]
        gates_h = torch.cat([gates_h[..., : 2 * size], gates_h[..., 2 * size :] + bias_m[:, None]], dim=-1)
        h = gru(gates, gates_h, h)
        if mask is not None:
            h = h * mask[:, step.rows]
        states.append(h)
    return torch.cat(states, dim=1)


class Chain(torch.autograd.Function):
    """``apply(layout, mask, gates_x, weight, bias_m, start) -> h [K, N, H]``.

    Args:
        layout: layout of the batch.
        mask: dropout multipliers of the states ``[K, N, H]``, or None. The next step reads the multiplied states.
        gates_x: ``[n | r | z]`` from the inputs, biases included ``[K, N, 3H]``.
        weight: weights from h to ``[r | z | m]`` ``[K, H, 3H]``.
        bias_m: bias of m ``[K, H]``.
        start: state before the first turn ``[K, 1, H]``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        layout: PackedLayout,
        mask: Tensor | None,
        gates_x: Tensor,
        weight: Tensor,
        bias_m: Tensor,
        start: Tensor,
    ) -> Tensor:
        """Return all states."""
        rows_per_step = [step.n_active for step in layout.steps]
        gates = Gates(bias_m, rows_per_step)
        gates.all[..., : gates_x.shape[-1]] = gates_x
        states = gates_x.new_empty(*gates_x.shape[:2], weight.shape[1])
        h, masks = start.expand(-1, layout.n_dialogues, -1), split_by_step(mask, rows_per_step)
        for t, out in enumerate(torch.split(states, rows_per_step, dim=1)):
            h = h[:, : rows_per_step[t]]
            gates.state[t].add_(torch.bmm(h, weight))
            gates.advance(t, h, out, masks[t])
            h = out
        ctx.layout, ctx.mask = layout, mask
        ctx.gates, ctx.rows_per_step = gates, rows_per_step
        ctx.save_for_backward(weight, start)
        ctx.states = states.detach()
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of gates_x, weight, bias_m and start."""
        weight, start = ctx.saved_tensors
        layout: PackedLayout = ctx.layout
        before = torch.cat(
            [start.expand(-1, layout.n_dialogues, -1), ctx.states.index_select(1, layout.previous_row)], dim=1
        )
        slopes = Slopes(ctx.gates, before, ctx.mask, ctx.rows_per_step)
        weight_transposed, d_states_at = weight.mT, torch.split(d_states, ctx.rows_per_step, dim=1)
        d_h = before.new_zeros(before.shape[0], layout.n_dialogues, before.shape[2])
        for t in range(len(ctx.rows_per_step) - 1, -1, -1):
            n = ctx.rows_per_step[t]
            slopes.step_back(t, d_states_at[t] + d_h[:, :n])
            slopes.write_gradient_before(t, weight_transposed, out=d_h[:, :n])
        d_weight = torch.bmm(before.mT, slopes.state)
        return None, None, slopes.inputs, d_weight, slopes.m.sum(1), d_h.sum(1, keepdim=True)
