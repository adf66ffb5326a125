"""GRU steps from gate pre-activations, and the dropout that states carry through a recurrence.

Four pre-activations make a GRU step, kept side by side as ``[n | r | z | m]`` of H columns each: what x and its like
add to the candidate (n), both gates (r, z), and what the state adds to the candidate (m), which r multiplies. The first
three are what a cell's *inputs* write, the last three what its *state* writes; each is one contiguous block, so every
product is added in one go and neither block is ever taken apart. As ``torch.nn.GRUCell`` has it,
h' = (1 − σ(z))·tanh(n + σ(r)·m) + σ(z)·h.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue_ser.nn.gru.fused import kernels_for


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


class Gates:
    """The pre-activations ``[n | r | z | m]`` of one cell for all rows of a batch, then its activations.

    All views that a step needs are cut beforehand, in one go: cutting them inside the loop costs as much as a small
    product does.

    Args:
        bias_m: ``[Z, H]``; it alone stands in a fresh buffer.
        sizes: rows of each step.
    """

    def __init__(self, bias_m: Tensor, sizes: list[int]) -> None:
        n_z, size = bias_m.shape
        self.all = bias_m.new_empty(n_z, sum(sizes), 4 * size)
        n, r, z, m = (self.all[..., i * size : (i + 1) * size] for i in range(4))
        m.copy_(bias_m[:, None].expand_as(m))
        self.kernels = kernels_for(self.all)
        if self.kernels is None:
            self._n, self._r, self._z, self._m = (torch.split(part, sizes, dim=1) for part in (n, r, z, m))
            self._both = torch.split(self.all[..., size : 3 * size], sizes, dim=1)
        else:
            self._whole = torch.split(self.all, sizes, dim=1)
        self.inputs = torch.split(self.all[..., : 3 * size], sizes, dim=1)
        self.state = torch.split(self.all[..., size:], sizes, dim=1)

    def advance(self, t: int, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
        """One GRU step, once ``inputs[t]`` is written and the products with ``h`` are added to ``state[t]``.

        Args:
            t: which step.
            h: the state before.
            out: where the new state goes.
            mask: dropout multipliers of the new state, or None.
        """
        if self.kernels is not None:
            self.kernels.advance(self._whole[t], h, out, mask)
            return
        self._both[t].sigmoid_()
        candidate = self._n[t]
        candidate.addcmul_(self._r[t], self._m[t]).tanh_()
        torch.lerp(candidate, h, self._z[t], out=out)
        if mask is not None:
            out.mul_(mask)


class Slopes:
    """What a gradient of the new state is multiplied with to give those of everything a GRU step read.

    Backward through a GRU step is linear in the gradient of its output, with coefficients that forward has already
    fixed. So they are computed for all rows of a batch at once, and a step of backward is ONE multiplication, in place:
    afterwards the buffer holds the gradients.

    Args:
        gates: after forward.
        h: states before ``[Z, rows, H]``.
        mask: dropout multipliers of the new states, or None.
        sizes: rows of each step.
    """

    def __init__(self, gates: Gates, h: Tensor, mask: Tensor | None, sizes: list[int]) -> None:
        size = h.shape[-1]
        by_gate = h.new_empty(*h.shape[:-1], 5, size)
        both, d_m, d_h = by_gate.flatten(-2), by_gate[..., 3, :], by_gate[..., 4, :]
        if gates.kernels is None:
            _write_slopes(gates.all, h, mask, by_gate)
        else:
            gates.kernels.slopes(gates.all, h, mask, both)
        self.inputs, self.state, self.m = both[..., : 3 * size], both[..., size : 4 * size], d_m
        self._by_gate = torch.split(by_gate, sizes, dim=1)
        self.inputs_of, self.state_of = torch.split(self.inputs, sizes, dim=1), torch.split(self.state, sizes, dim=1)
        self.direct_of = torch.split(d_h, sizes, dim=1)

    def step_back(self, t: int, d_h: Tensor) -> None:
        """Undo step t, given the gradient of its new states ``[Z, n, H]``."""
        self._by_gate[t].mul_(d_h.unsqueeze(-2))

    def before(self, t: int, weight_back: Tensor, out: Tensor) -> None:
        """Write the gradient of the states before step t, given their weights to ``[r | z | m]``, transposed."""
        torch.add(self.direct_of[t], torch.bmm(self.state_of[t], weight_back), out=out)


def _write_slopes(gates: Tensor, h: Tensor, mask: Tensor | None, by_gate: Tensor) -> None:
    n, r, z, m = gates.view(*h.shape[:-1], 4, h.shape[-1]).unbind(-2)
    d_n, d_r, d_z, d_m, d_h = by_gate.unbind(-2)
    kept = h.new_ones(()) if mask is None else mask
    torch.mul(z, kept, out=d_h)
    torch.sub(kept, d_h, out=d_n)  # (1 − z)
    torch.addcmul(d_h, d_h, z, value=-1, out=d_z).mul_(h - n)  # z (1 − z) (h − n)
    d_n.sub_(d_n * n * n)  # · (1 − n²)
    torch.mul(d_n, r, out=d_m)
    torch.addcmul(d_m, d_m, r, value=-1, out=d_r).mul_(m)  # d_n · r (1 − r) · m


@dataclass(frozen=True)
class DropoutMasks:
    """Multipliers (0 or 1/(1−p)) drawn for a whole batch before the loop; None = nothing is dropped.

    Args:
        global_KNG: on g, one row per packed turn.
        speaker_ZNP: on the speaker's states, one row per packed turn.
        listener_ZLP: on the listeners' states, one row per listener update of the layout.
        emotion_KNE: on e, one row per packed turn.
    """

    global_KNG: Tensor | None = None
    speaker_ZNP: Tensor | None = None
    listener_ZLP: Tensor | None = None
    emotion_KNE: Tensor | None = None


def by_step(mask: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    """Multipliers of each step, or None for each."""
    return [None] * len(sizes) if mask is None else torch.split(mask, sizes, dim=1)


def draw_mask(like: Tensor, dropout: float, *shape: int) -> Tensor:
    """Fresh multipliers on the device of ``like``."""
    keep = 1 - dropout
    return like.new_empty(shape).uniform_().lt_(keep).div_(keep)  # half the time of bernoulli_
