"""A GRU over packed sequences whose inputs are all known in advance: emotion states (equation (7)) and contexts.

The step is the same as in :mod:`dialogue_ser.nn.recurrence.manual`, without parties and without attention: there is one
autograd node, one product serves both directions, and the slopes of all rows are computed at once. The chain replaces
two passes of ``torch.nn.GRU`` over packed sequences.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.gru.cells import Gates, Slopes, gru, split_by_step


def autograd_chain(
    gates_x: Tensor, weight: Tensor, bias_m: Tensor, start: Tensor, mask: Tensor | None, rows_per_step: list[int]
) -> Tensor:
    """Return the states ``[K, N, H]`` of :func:`run_chain` by a simple loop that autograd can follow.

    The arguments are described there.
    """
    h = start.expand(-1, rows_per_step[0], -1)
    states = []
    gates_x_at, masks = torch.split(gates_x, rows_per_step, dim=1), split_by_step(mask, rows_per_step)
    for gates, multipliers in zip(gates_x_at, masks, strict=True):
        h = h[:, : gates.shape[1]]
        gates_h = torch.bmm(h, weight)
        size = h.shape[-1]
        gates_h = torch.cat([gates_h[..., : 2 * size], gates_h[..., 2 * size :] + bias_m[:, None]], dim=-1)
        h = gru(gates, gates_h, h)
        if multipliers is not None:
            h = h * multipliers
        states.append(h)
    return torch.cat(states, dim=1)


def run_chain(
    rows_per_step: list[int],
    previous_row: Tensor,
    gates_x: Tensor,
    weight: Tensor,
    bias_m: Tensor,
    start: Tensor,
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the states after every row ``[K, N, H]``.

    Args:
        rows_per_step: number of sequences that have a row in each step. The rows of a step lie together, and the
            longest sequence comes first.
        previous_row: row before each row in its sequence, without those of the first step.
        gates_x: ``[n | r | z]`` from the inputs, biases included ``[K, N, 3H]``.
        weight: weights from h to ``[r | z | m]`` ``[K, H, 3H]``.
        bias_m: bias of m ``[K, H]``.
        start: state before the first row ``[K, 1, H]``.
        mask: dropout multipliers of the states ``[K, N, H]``, or None. The next step reads the multiplied states.
    """
    states: Tensor = _Chain.apply(rows_per_step, previous_row, mask, gates_x, weight, bias_m, start)  # type: ignore[no-untyped-call]
    return states


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows_per_step: list[int],
        previous_row: Tensor,
        mask: Tensor | None,
        gates_x: Tensor,
        weight: Tensor,
        bias_m: Tensor,
        start: Tensor,
    ) -> Tensor:
        """Return all states."""
        gates = Gates(bias_m, rows_per_step)
        gates.all[..., : gates_x.shape[-1]] = gates_x
        states = gates_x.new_empty(*gates_x.shape[:2], weight.shape[1])
        h, masks = start.expand(-1, rows_per_step[0], -1), split_by_step(mask, rows_per_step)
        for t, out in enumerate(torch.split(states, rows_per_step, dim=1)):
            h = h[:, : rows_per_step[t]]
            gates.state[t].add_(torch.bmm(h, weight))
            gates.advance(t, h, out, masks[t])
            h = out
        ctx.previous_row, ctx.mask = previous_row, mask
        ctx.gates, ctx.rows_per_step = gates, rows_per_step
        ctx.save_for_backward(weight, start)
        ctx.states = states.detach()
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of gates_x, weight, bias_m and start."""
        weight, start = ctx.saved_tensors
        n_sequences = ctx.rows_per_step[0]
        before = torch.cat([start.expand(-1, n_sequences, -1), ctx.states.index_select(1, ctx.previous_row)], dim=1)
        slopes = Slopes(ctx.gates, before, ctx.mask, ctx.rows_per_step)
        weight_transposed, d_states_at = weight.mT, torch.split(d_states, ctx.rows_per_step, dim=1)
        d_h = before.new_zeros(before.shape[0], n_sequences, before.shape[2])
        for t in range(len(ctx.rows_per_step) - 1, -1, -1):
            n = ctx.rows_per_step[t]
            slopes.step_back(t, d_states_at[t] + d_h[:, :n])
            slopes.write_gradient_before(t, weight_transposed, out=d_h[:, :n])
        d_weight = torch.bmm(before.mT, slopes.state)
        return None, None, None, slopes.inputs, d_weight, slopes.m.sum(1), d_h.sum(1, keepdim=True)
