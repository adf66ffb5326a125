"""A GRU over packed dialogues whose inputs are all known: the emotion states, which feed nothing back (EQUATIONS.md (7)).

The same step as in :mod:`dialogue_ser.nn.manual`, without parties and attention: one autograd node, both directions in
one product, slopes of all rows at once. It stands in for two passes of ``torch.nn.GRU`` over packed sequences.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.cells import gru, gru_, gru_slopes
from dialogue_ser.nn.layout import PackedLayout, Step


def read_chain(
    gates_x: Tensor, weight: Tensor, bias_m: Tensor, start: Tensor, mask: Tensor | None, steps: Sequence[Step]
) -> Tensor:
    """The chain by autograd, readable: :class:`Chain` gives the same ``[K, N, H]``; arguments as there."""
    h = start.expand(-1, steps[0].n_active, -1)
    states = []
    given = torch.split(gates_x, [step.n_active for step in steps], dim=1)
    for step, gates in zip(steps, given, strict=True):
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
        layout: its steps say who is active.
        mask: dropout multipliers of h, fed back ``[K, N, H]``, or None.
        gates_x: ``[n | r | z]`` from the inputs, biases included ``[K, N, 3H]``.
        weight: h → ``[r | z | m]`` ``[K, H, 3H]``.
        bias_m: ``[K, H]``.
        start: ``[K, 1, H]``.
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
        """All states."""
        n_directions, n_rows, _ = gates_x.shape
        size = weight.shape[1]
        gates = torch.cat([gates_x, bias_m[:, None].expand(-1, n_rows, -1)], dim=-1)
        states = gates.new_empty(n_directions, n_rows, size)
        h = start.expand(-1, layout.n_dialogues, -1)
        for step in layout.steps:
            h, own = h[:, : step.n_active], gates[:, step.rows]
            own[..., size:] += torch.bmm(h, weight)
            out = states[:, step.rows]
            gru_(own, h, out, None if mask is None else mask[:, step.rows])
            h = out
        ctx.layout, ctx.mask = layout, mask
        ctx.save_for_backward(gates, states, weight, start)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of gates_x, weight, bias_m and start."""
        gates, states, weight, start = ctx.saved_tensors
        layout: PackedLayout = ctx.layout
        size, n_rows = weight.shape[1], states.shape[1]
        before = torch.cat([start.expand(-1, layout.n_dialogues, -1), states[:, layout.previous_row]], dim=1)
        slopes = gru_slopes(gates, before, ctx.mask)
        by_gate = slopes.view(*states.shape[:2], 5, size)
        back = weight.transpose(1, 2)
        d_h = states.new_zeros(states.shape[0], layout.n_dialogues, size)
        for step in reversed(layout.steps):
            n, rows = step.n_active, step.rows
            own = by_gate[:, rows]
            own *= (d_states[:, rows] + d_h[:, :n])[:, :, None]
            torch.baddbmm(own[:, :, 4], slopes[:, rows, size : 4 * size], back, out=d_h[:, :n])
        d_gates = slopes[..., : 3 * size]
        d_weight = torch.bmm(before.transpose(1, 2), slopes[..., size : 4 * size])
        assert n_rows == slopes.shape[1]
        return None, None, d_gates, d_weight, by_gate[:, :, 3].sum(1), d_h.sum(1, keepdim=True)
