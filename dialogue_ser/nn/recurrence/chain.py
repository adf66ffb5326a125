"""A GRU over packed dialogues whose inputs are all known: the emotion states, which feed nothing back (equation (7)).

The same step as in :mod:`dialogue_ser.nn.recurrence.manual`, without parties and attention: one autograd node, both
directions in one product, slopes of all rows at once. It stands in for two passes of ``torch.nn.GRU`` over packed
sequences.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.gru.cells import Gates, Slopes, gru, split_by_step
from dialogue_ser.nn.recurrence.layout import PackedLayout, Step


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
        sizes = [step.n_active for step in layout.steps]
        gates = Gates(bias_m, sizes)
        gates.all[..., : gates_x.shape[-1]] = gates_x
        states = gates_x.new_empty(*gates_x.shape[:2], weight.shape[1])
        h, masks = start.expand(-1, layout.n_dialogues, -1), split_by_step(mask, sizes)
        for t, out in enumerate(torch.split(states, sizes, dim=1)):
            h = h[:, : sizes[t]]
            gates.state[t].add_(torch.bmm(h, weight))
            gates.advance(t, h, out, masks[t])
            h = out
        ctx.layout, ctx.mask = layout, mask
        ctx.gates, ctx.sizes = gates, sizes
        ctx.save_for_backward(weight, start)
        ctx.states = states.detach()
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of gates_x, weight, bias_m and start."""
        weight, start = ctx.saved_tensors
        layout: PackedLayout = ctx.layout
        before = torch.cat(
            [start.expand(-1, layout.n_dialogues, -1), ctx.states.index_select(1, layout.previous_row)], dim=1
        )
        slopes = Slopes(ctx.gates, before, ctx.mask, ctx.sizes)
        back, given = weight.mT, torch.split(d_states, ctx.sizes, dim=1)
        d_h = before.new_zeros(before.shape[0], layout.n_dialogues, before.shape[2])
        for t in range(len(ctx.sizes) - 1, -1, -1):
            n = ctx.sizes[t]
            slopes.step_back(t, given[t] + d_h[:, :n])
            slopes.write_gradient_before(t, back, out=d_h[:, :n])
        d_weight = torch.bmm(before.mT, slopes.state)
        return None, None, slopes.inputs, d_weight, slopes.m.sum(1), d_h.sum(1, keepdim=True)
