"""A GRU over rows with different numbers of frames, with dropout in its recurrence. It never computes padding.

The frames are packed as in ``torch.nn.utils.rnn``: the rows are sorted by length, the longest first, and all frames of
one step stand together. The rows that have a frame at a step are then always the first ones, and one product computes
the input gates of all frames.
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
    """The order of the V valid frames of N rows after packing.

    Args:
        sizes: for each step, the number of rows that have a frame there; empty if no row has a frame.
        position_V: for each packed frame, its position in the flattened ``[N·L]``.
        previous_V: for each packed frame after the first step, the packed position of the frame before it in its row.
        mirrored_V: for each packed frame, the packed position of the frame that is as far from the end of the row as
            this one is from its beginning.
    """

    sizes: Sequence[int]
    position_V: Int[Tensor, " frame"]
    previous_V: Int[Tensor, " later"]
    mirrored_V: Int[Tensor, " frame"]

    @classmethod
    def of(cls, host_lengths_N: Int[Tensor, " row"], longest: int, device: torch.device) -> "FrameLayout":
        """Compute the layout on the CPU.

        Args:
            host_lengths_N: number of valid frames per row, on the CPU.
            longest: L, the length of the padded rows.
            device: device to which the indices are copied.
        """
        lengths = host_lengths_N.numpy()
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        step, rank = np.nonzero(np.arange(lengths[0])[:, None] < lengths)
        sizes = np.bincount(step)
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        position, mirrored = order[rank] * longest + step, first[lengths[rank] - 1 - step] + rank
        is_later = step > 0
        previous = first[step[is_later] - 1] + rank[is_later]
        position_V, previous_V, mirrored_V = send([position, previous, mirrored], device)
        return cls(sizes=sizes.tolist(), position_V=position_V, previous_V=previous_V, mirrored_V=mirrored_V)


def read_frames(
    gru: nn.GRU, x_VD: Float[Tensor, "frame feature"], layout: FrameLayout, recurrent_dropout: float = 0.0
) -> Float[Tensor, "frame hidden"]:
    """The states of a GRU after every packed frame; the states of two directions are concatenated.

    With dropout, the product of the state h and its weights uses h ⊙ m instead of h. Each row has one mask m for the
    whole sequence and for all three gates (Keras calls this ``recurrent_dropout``). The update gate still carries h
    itself to the next step. torch.nn.GRU cannot do this, so :class:`DroppedGRU` computes it with the weights of the
    GRU. Without dropout the GRU runs as it is. The result is at least float32, also under autocast.

    Args:
        gru: a GRU with one layer and biases.
        x_VD: the valid frames, packed.
        layout: their layout.
        recurrent_dropout: dropout rate on the path from state to state; must be 0 in eval mode.
    """
    with torch.autocast(x_VD.device.type, enabled=False):
        x_VD = x_VD.to(torch.promote_types(x_VD.dtype, torch.float32))
        if not recurrent_dropout:
            states: Tensor = gru(PackedSequence(x_VD, torch.tensor(layout.sizes)))[0].data
            return states
        suffixes = ("", "_reverse")[: 2 if gru.bidirectional else 1]
        gates, weights, biases = zip(*(_direction_parts(gru, suffix, x_VD) for suffix in suffixes), strict=True)
        gates_KVG = torch.stack([gates[0], *(backward.index_select(0, layout.mirrored_V) for backward in gates[1:])])
        keep_KNH = draw_mask(x_VD, recurrent_dropout, len(suffixes), layout.sizes[0], gru.hidden_size)
        h_KVH = DroppedGRU.apply(layout, keep_KNH, gates_KVG, torch.stack(weights), torch.stack(biases))  # type: ignore[no-untyped-call]
        return torch.cat([h_KVH[0], *(backward.index_select(0, layout.mirrored_V) for backward in h_KVH[1:])], dim=-1)


def _direction_parts(gru: nn.GRU, suffix: str, x_VD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For one direction: the input gates ``[n|r|z]``, the weights of the state ``[H, r|z|m]`` and the bias of m."""
    size = gru.hidden_size
    weight_x, weight_h, bias_x, bias_h = (
        getattr(gru, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    bias_rz, bias_m = bias_h[: 2 * size], bias_h[2 * size :]
    bias = (bias_x + nn.functional.pad(bias_rz, (0, size))).roll(size)  # torch orders the gates as r, z, n
    return torch.addmm(bias, x_VD, weight_x.roll(size, 0).T), weight_h.T, bias_m


class DroppedGRU(torch.autograd.Function):
    """``apply(layout, keep, gates_x, weight, bias_m) -> h [K, V, H]``: a GRU as one autograd node.

    Its backward pass is written by hand, as in :class:`dialogue_ser.nn.recurrence.chain.Chain`. Here the first state is
    always zero, and dropout changes only the state that is multiplied with the weights.

    Args:
        layout: layout of the packed frames.
        keep: dropout mask: factors of the state before its product with the weights ``[K, N, H]``; rows as in the
            layout, the longest first.
        gates_x: gates ``[n | r | z]`` computed from the inputs, biases included ``[K, V, 3H]``.
        weight: weights from h to ``[r | z | m]`` ``[K, H, 3H]``.
        bias_m: bias of m ``[K, H]``.
    """

    @staticmethod
    def forward(ctx: Any, layout: FrameLayout, keep: Tensor, gates_x: Tensor, weight: Tensor, bias_m: Tensor) -> Tensor:
        """The states after every packed frame."""
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
        weight_T, d_states_of = weight.mT, torch.split(d_states, sizes, dim=1)
        d_h = torch.zeros_like(keep)
        for t in range(len(sizes) - 1, -1, -1):
            n = sizes[t]
            slopes.step_back(t, d_states_of[t] + d_h[:, :n])
            through = torch.bmm(slopes.state_at[t], weight_T)
            torch.addcmul(slopes.direct_at[t], through, keep[:, :n], out=d_h[:, :n])
        kept = torch.cat([keep[:, :n] for n in sizes], dim=1)
        d_weight = torch.bmm((before * kept).mT, slopes.state)
        return None, None, slopes.inputs, d_weight, slopes.m.sum(1)
