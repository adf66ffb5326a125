"""A GRU over frames of different number, packed: padding is never computed; dropout in its recurrence.

Rows are sorted by length, longest first, and their frames laid step behind step, as ``torch.nn.utils.rnn`` packs them:
the rows that still run at a step are then the first of it, and all products with the inputs are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from dialogue_ser.nn.gru.cells import Gates, Slopes, draw_mask
from dialogue_ser.nn.transfer import send


@dataclass(frozen=True, kw_only=True)
class FrameLayout:
    """Where the valid frames V of N rows stand when they are packed.

    Args:
        sizes: rows that have a frame at each step; empty where no row has any.
        place_V: of every packed frame, its position in the flattened ``[N·L]``.
        previous_V: packed frame before, for all but those of the first step.
        mirrored_V: packed frame that stands as far from its row's end as this one from its beginning.
    """

    sizes: Sequence[int]
    place_V: Int[Tensor, " frame"]
    previous_V: Int[Tensor, " later"]
    mirrored_V: Int[Tensor, " frame"]

    @classmethod
    def of(cls, host_lengths_N: Int[Tensor, " row"], longest: int, device: torch.device) -> "FrameLayout":
        """Planned on the host.

        Args:
            host_lengths_N: valid frames per row, on the CPU.
            longest: L of the padded rows.
            device: where the indices are wanted.
        """
        lengths = host_lengths_N.numpy()
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        step, rank = np.nonzero(np.arange(lengths[0])[:, None] < lengths)
        sizes = np.bincount(step)
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        place, mirrored = order[rank] * longest + step, first[lengths[rank] - 1 - step] + rank
        is_later = step > 0
        previous = first[step[is_later] - 1] + rank[is_later]
        place_V, previous_V, mirrored_V = send([place, previous, mirrored], device)
        return cls(sizes=sizes.tolist(), place_V=place_V, previous_V=previous_V, mirrored_V=mirrored_V)


def read_frames(
    gru: nn.GRU, x_VD: Float[Tensor, "frame feature"], layout: FrameLayout, recurrent_dropout: float = 0.0
) -> Float[Tensor, "frame hidden"]:
    """States after every packed frame, of both directions behind one another if the GRU has two.

    With dropout, the state's product with its weights sees h ⊙ m, with one m per row that stays over the whole sequence
    (Keras' ``recurrent_dropout``; one m for all three gates); what the update gate carries over is h itself. Then the
    GRU's weights are read by :class:`DroppedGRU`, else the GRU is run as it is. Float32 at least, also under autocast.

    Args:
        gru: one layer, with biases.
        x_VD: valid frames, laid out as planned.
        layout: the plan.
        recurrent_dropout: of the hidden-to-hidden path; 0 in eval mode.
    """
    with torch.autocast(x_VD.device.type, enabled=False):
        x_VD = x_VD.to(torch.promote_types(x_VD.dtype, torch.float32))
        if not recurrent_dropout:
            states: Tensor = gru(PackedSequence(x_VD, torch.tensor(layout.sizes)))[0].data
            return states
        suffixes = ("", "_reverse")[: 2 if gru.bidirectional else 1]
        gates, weights, biases = zip(*(_taken_apart(gru, suffix, x_VD) for suffix in suffixes), strict=True)
        gates_KVG = torch.stack([gates[0], *(own.index_select(0, layout.mirrored_V) for own in gates[1:])])
        keep_KNH = draw_mask(x_VD, recurrent_dropout, len(suffixes), layout.sizes[0], gru.hidden_size)
        h_KVH = DroppedGRU.apply(layout, keep_KNH, gates_KVG, torch.stack(weights), torch.stack(biases))  # type: ignore[no-untyped-call]
        return torch.cat([h_KVH[0], *(own.index_select(0, layout.mirrored_V) for own in h_KVH[1:])], dim=-1)


def _taken_apart(gru: nn.GRU, suffix: str, x_VD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gates ``[n|r|z]`` from the inputs, weights of the state ``[H, r|z|m]`` and the bias of m, of one direction."""
    size = gru.hidden_size
    weight_x, weight_h, bias_x, bias_h = (
        getattr(gru, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    both, bias_m = bias_h[: 2 * size], bias_h[2 * size :]
    bias = (bias_x + nn.functional.pad(both, (0, size))).roll(size)  # torch has r, z, n
    return torch.addmm(bias, x_VD, weight_x.roll(size, 0).T), weight_h.T, bias_m


class DroppedGRU(torch.autograd.Function):
    """``apply(layout, keep, gates_x, weight, bias_m) -> h [K, V, H]``: one node whose backward is written by hand.

    As :class:`dialogue_ser.nn.recurrence.chain.Chain`, but from zeros, and with what is dropped on the way to the
    product alone.

    Args:
        layout: which rows run at each step.
        keep: multipliers of the states on their way to the product ``[K, N, H]``, rows from long to short.
        gates_x: ``[n | r | z]`` from the inputs, biases included ``[K, V, 3H]``.
        weight: h → ``[r | z | m]`` ``[K, H, 3H]``.
        bias_m: ``[K, H]``.
    """

    @staticmethod
    def forward(ctx: Any, layout: FrameLayout, keep: Tensor, gates_x: Tensor, weight: Tensor, bias_m: Tensor) -> Tensor:
        """All states."""
        sizes = list(layout.sizes)
        gates = Gates(bias_m, sizes)
        gates.all[..., : gates_x.shape[-1]] = gates_x
        states = gates_x.new_empty(*gates_x.shape[:2], weight.shape[1])
        h = torch.zeros_like(keep)
        for t, out in enumerate(torch.split(states, sizes, dim=1)):
            n = sizes[t]
            if t:
                gates.state[t].baddbmm_(h[:, :n] * keep[:, :n], weight)
            gates.advance(t, h[:, :n], out, None)
            h = out
        ctx.layout, ctx.gates, ctx.states = layout, gates, states.detach()
        ctx.save_for_backward(keep, weight)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of gates_x, weight and bias_m."""
        keep, weight = ctx.saved_tensors
        sizes, start = list(ctx.layout.sizes), torch.zeros_like(keep)
        before = torch.cat([start, ctx.states.index_select(1, ctx.layout.previous_V)], dim=1)
        slopes = Slopes(ctx.gates, before, None, sizes)
        back, given = weight.mT, torch.split(d_states, sizes, dim=1)
        d_h = torch.zeros_like(keep)
        for t in range(len(sizes) - 1, -1, -1):
            n = sizes[t]
            slopes.step_back(t, given[t] + d_h[:, :n])
            through = torch.bmm(slopes.state_at[t], back)
            torch.addcmul(slopes.direct_at[t], through, keep[:, :n], out=d_h[:, :n])
        kept = torch.cat([keep[:, :n] for n in sizes], dim=1)
        d_weight = torch.bmm((before * kept).mT, slopes.state)
        return None, None, slopes.inputs, d_weight, slopes.m.sum(1)
