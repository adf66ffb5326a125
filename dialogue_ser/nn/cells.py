"""GRU steps from gate pre-activations, and the dropout that states carry through a recurrence."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


def gru(gates_x: Tensor, gates_h: Tensor, h: Tensor) -> Tensor:
    """One GRU step from its gate pre-activations (order r, z, n as in ``torch.nn.GRUCell``), biases included."""
    size = h.shape[-1]
    r, z = torch.sigmoid(gates_x[..., : 2 * size] + gates_h[..., : 2 * size]).chunk(2, dim=-1)
    n = torch.tanh(torch.addcmul(gates_x[..., 2 * size :], r, gates_h[..., 2 * size :]))
    return torch.lerp(n, h, z)


class GRUStep(NamedTuple):
    """What the backward of one GRU step needs."""

    gates: Tensor  # r and z, after the sigmoid
    candidate: Tensor  # n
    candidate_h: Tensor  # the hidden product inside n
    h: Tensor  # state before

    def backward(self, d_h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the input gates, the hidden gates and the state before."""
        r, z = self.gates.chunk(2, dim=-1)
        d_n = torch.addcmul(d_h, d_h, z, value=-1)  # (1 − z) d_h
        d_z = d_n * z * (self.h - self.candidate)
        d_n = torch.addcmul(d_n, d_n * self.candidate, self.candidate, value=-1)  # through tanh
        d_r = torch.addcmul(r, r, r, value=-1).mul_(d_n).mul_(self.candidate_h)
        return torch.cat([d_r, d_z, d_n], dim=-1), torch.cat([d_r, d_z, d_n * r], dim=-1), d_h * z


def gru_forward(gates_x: Tensor, gates_h: Tensor, h: Tensor) -> tuple[Tensor, GRUStep]:
    """One GRU step and what its backward needs."""
    size = h.shape[-1]
    gates = (gates_x[..., : 2 * size] + gates_h[..., : 2 * size]).sigmoid_()
    candidate_h = gates_h[..., 2 * size :]
    candidate = torch.addcmul(gates_x[..., 2 * size :], gates[..., :size], candidate_h).tanh_()
    return torch.lerp(candidate, h, gates[..., size:]), GRUStep(gates, candidate, candidate_h, h)


@dataclass(frozen=True)
class DropoutMasks:
    """Multipliers (0 or 1/(1−p)) drawn for a whole batch before the loop, or cut for one turn of it.

    Args:
        global_KNH: on g, one row per packed turn.
        speaker_KJNH: on S and I of the speaker, one row per packed turn.
        listener_KJNH: on S and I of the listeners, one row per listener update of the layout.
    """

    global_KNH: Tensor
    speaker_KJNH: Tensor
    listener_KJNH: Tensor

    def cut(self, rows: slice, listeners: slice) -> "DropoutMasks":
        """Those of some packed turns and of some listener updates."""
        return DropoutMasks(
            self.global_KNH[:, rows], self.speaker_KJNH[:, :, rows], self.listener_KJNH[:, :, listeners]
        )


def draw_masks(
    like: Tensor, dropout: float, *, n_directions: int, n_rows: int, n_listeners: int, global_dim: int, party_dim: int
) -> DropoutMasks:
    """Fresh multipliers for every turn and every listener update of a batch, on the device of ``like``."""
    keep = 1 - dropout

    def draw(*shape: int) -> Tensor:
        return like.new_empty(shape).bernoulli_(keep).div_(keep)

    return DropoutMasks(
        draw(n_directions, n_rows, global_dim),
        draw(n_directions, 2, n_rows, party_dim),
        draw(n_directions, 2, n_listeners, party_dim),
    )
