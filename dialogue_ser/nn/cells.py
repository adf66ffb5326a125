"""GRU steps from gate pre-activations, and the dropout that states carry through a recurrence.

Four pre-activations make a GRU step, kept side by side as ``[n | r | z | m]`` of H columns each: what x and its like add to
the candidate (n), both gates (r, z), and what the state adds to the candidate (m), which r multiplies. The first three
are what a cell's *inputs* write, the last three what its *state* writes; each is one contiguous block, so every product
is added in one go and neither block is ever taken apart. h' = (1 − σ(z))·tanh(n + σ(r)·m) + σ(z)·h, as ``torch.nn.GRUCell``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def gru(gates_x: Tensor, gates_h: Tensor, h: Tensor) -> Tensor:
    """One GRU step that autograd can follow.

    Args:
        gates_x: ``[n | r | z]`` from the inputs, biases included.
        gates_h: ``[r | z | m]`` from the state, the bias of m included.
        h: the state before.
    """
    size = h.shape[-1]
    r, z = torch.sigmoid(gates_x[..., size:] + gates_h[..., : 2 * size]).chunk(2, dim=-1)
    candidate = torch.tanh(torch.addcmul(gates_x[..., :size], r, gates_h[..., 2 * size :]))
    return torch.lerp(candidate, h, z)


def gru_(gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
    """One GRU step in place, for the hand-written backward.

    Args:
        gates: summed pre-activations ``[n | r | z | m]``; afterwards the activations (m as it was).
        h: the state before.
        out: where the new state goes.
        mask: dropout multipliers of the new state, or None.
    """
    size = h.shape[-1]
    gates[..., size : 3 * size].sigmoid_()
    candidate = gates[..., :size]
    candidate.addcmul_(gates[..., size : 2 * size], gates[..., 3 * size :]).tanh_()
    torch.lerp(candidate, h, gates[..., 2 * size : 3 * size], out=out)
    if mask is not None:
        out.mul_(mask)


def gru_slopes(gates: Tensor, h: Tensor, mask: Tensor | None) -> Tensor:
    """What a gradient of the new state is multiplied with to give those of everything the step read.

    Backward through a GRU step is linear in the gradient of its output, with coefficients that forward has already
    fixed. So they are computed for all rows of a batch at once, and a step of backward is ONE multiplication.

    Args:
        gates: activations that :func:`gru_` left, for any number of rows ``[…, 4H]``.
        h: states before ``[…, H]``.
        mask: dropout multipliers, or None.

    Returns:
        ``[…, 5H]``: slopes of n, r, z, m, and of the state before (the direct path alone).
    """
    n, r, z, m = gates.unflatten(-1, (4, -1)).unbind(-2)
    slopes = gates.new_empty(*h.shape[:-1], 5, h.shape[-1])
    d_n, d_r, d_z, d_m, d_h = slopes.unbind(-2)
    d_h.copy_(z)
    torch.addcmul(n.new_ones(()), n, n, value=-1, out=d_n)  # 1 − n²
    d_n.addcmul_(d_n, z, value=-1)  # · (1 − z)
    torch.mul(d_n, r, out=d_m)
    torch.addcmul(d_m, d_m, r, value=-1, out=d_r).mul_(m)  # d_n · r (1 − r) · m
    torch.addcmul(z, z, z, value=-1, out=d_z).mul_(h - n)
    if mask is not None:
        slopes *= mask.unsqueeze(-2)
    return slopes.flatten(-2)


@dataclass(frozen=True)
class DropoutMasks:
    """Multipliers (0 or 1/(1−p)) drawn for a whole batch before the loop.

    Args:
        global_KNG: on g, one row per packed turn.
        speaker_ZNP: on the speaker's states, one row per packed turn.
        listener_ZLP: on the listeners' states, one row per listener update of the layout.
        emotion_KNE: on e, one row per packed turn.
    """

    global_KNG: Tensor
    speaker_ZNP: Tensor
    listener_ZLP: Tensor
    emotion_KNE: Tensor


def draw_mask(like: Tensor, dropout: float, *shape: int) -> Tensor:
    """Fresh multipliers on the device of ``like``."""
    keep = 1 - dropout
    return like.new_empty(shape).bernoulli_(keep).div_(keep)
