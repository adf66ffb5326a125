"""One step of a GRU cell, its gradient, and the dropout multipliers of a recurrence.

A GRU step has four pre-activations. They lie side by side as ``[n | r | z | m]``, with H columns each. The cell's
*inputs* add to the candidate n and to the gates r and z. Its *state* adds to the gates r and z and to m, the state's
part of the candidate, which r multiplies. So the inputs write the first three and the state writes the last three. Each
of these is one contiguous block, and the result of a matrix product is added to it in one operation. As in
``torch.nn.GRUCell``, h' = (1 − σ(z))·tanh(n + σ(r)·m) + σ(z)·h.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue_ser.nn.gru.kernel_choice import kernels_for


def gru(gates_x: Tensor, gates_h: Tensor, h: Tensor) -> Tensor:
    """Return the new state of one GRU step. Autograd can follow this function.

    Args:
        gates_x: ``[n | r | z]`` from the inputs; biases are included.
        gates_h: ``[r | z | m]`` from the state; the bias of m is included.
        h: state before the step.
    """
    size = h.shape[-1]
    r, z = torch.sigmoid(gates_x[..., size:] + gates_h[..., : 2 * size]).chunk(2, dim=-1)
    candidate = torch.tanh(torch.addcmul(gates_x[..., :size], r, gates_h[..., 2 * size :]))
    return torch.lerp(candidate, h, z)


class Gates:
    """The buffer ``[n | r | z | m]`` of one cell for all rows of a batch.

    It first holds pre-activations. :meth:`advance` turns those of one step into activations, in place. The views of
    every step are made once, before the loop: to make them inside the loop would take as long as a small product.

    Args:
        bias_m: bias of m ``[Z, H]``; a new buffer holds this bias in its columns m.
        rows_per_step: number of rows of each step.
    """

    def __init__(self, bias_m: Tensor, rows_per_step: list[int]) -> None:
        n_z, size = bias_m.shape
        self.all = bias_m.new_empty(n_z, sum(rows_per_step), 4 * size)
        n, r, z, m = (self.all[..., i * size : (i + 1) * size] for i in range(4))
        m.copy_(bias_m[:, None].expand_as(m))
        self.kernels = kernels_for(self.all)
        if self.kernels is None:
            self._n, self._r, self._z, self._m = (torch.split(part, rows_per_step, dim=1) for part in (n, r, z, m))
            self._r_and_z = torch.split(self.all[..., size : 3 * size], rows_per_step, dim=1)
        else:
            self._all_at = torch.split(self.all, rows_per_step, dim=1)
        self.inputs = torch.split(self.all[..., : 3 * size], rows_per_step, dim=1)
        self.state = torch.split(self.all[..., size:], rows_per_step, dim=1)

    def advance(self, t: int, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
        """Compute one GRU step. Before, write ``inputs[t]`` and add the products with ``h`` to ``state[t]``.

        Args:
            t: number of the step.
            h: states before the step.
            out: tensor to which the new states are written.
            mask: dropout multipliers of the new states, or None for no dropout.
        """
        if self.kernels is not None:
            self.kernels.advance(self._all_at[t], h, out, mask)
            return
        self._r_and_z[t].sigmoid_()
        candidate = self._n[t]
        candidate.addcmul_(self._r[t], self._m[t]).tanh_()
        torch.lerp(candidate, h, self._z[t], out=out)
        if mask is not None:
            out.mul_(mask)


class Slopes:
    """The gradient of a cell for all rows of a batch: slopes first, gradients after :meth:`step_back`.

    Backward through a GRU step is linear in the gradient of the new state. Its coefficients, the slopes, are known
    after forward. They are therefore computed for all rows of a batch at once. A step of backward is then ONE
    multiplication in place, after which the buffer holds the gradients.

    Args:
        gates: buffer of the cell after forward.
        h: states before the steps ``[Z, rows, H]``.
        mask: dropout multipliers of the new states, or None for no dropout.
        rows_per_step: number of rows of each step.

    Attributes:
        inputs: gradients of the columns ``[n | r | z]``, which the inputs wrote.
        state: gradients of the columns ``[r | z | m]``, which the state wrote.
        m: gradients of the column m.
        inputs_at: ``inputs``, split by step.
        state_at: ``state``, split by step.
        direct_at: gradients of the states before along the term σ(z)·h alone, split by step.
    """

    def __init__(self, gates: Gates, h: Tensor, mask: Tensor | None, rows_per_step: list[int]) -> None:
        size = h.shape[-1]
        by_gate = h.new_empty(*h.shape[:-1], 5, size)
        columns, d_m, d_h = by_gate.flatten(-2), by_gate[..., 3, :], by_gate[..., 4, :]
        if gates.kernels is None:
            _write_slopes(gates.all, h, mask, by_gate)
        else:
            gates.kernels.slopes(gates.all, h, mask, columns)
        self.inputs, self.state, self.m = columns[..., : 3 * size], columns[..., size : 4 * size], d_m
        self._by_gate = torch.split(by_gate, rows_per_step, dim=1)
        self.inputs_at = torch.split(self.inputs, rows_per_step, dim=1)
        self.state_at = torch.split(self.state, rows_per_step, dim=1)
        self.direct_at = torch.split(d_h, rows_per_step, dim=1)

    def step_back(self, t: int, d_h: Tensor) -> None:
        """Turn the slopes of step t into gradients.

        Args:
            t: number of the step.
            d_h: gradient of the new states of the step ``[Z, n, H]``.
        """
        self._by_gate[t].mul_(d_h.unsqueeze(-2))

    def write_gradient_before(self, t: int, weight_transposed: Tensor, out: Tensor) -> None:
        """Write the gradient of the states before step t. Call :meth:`step_back` first.

        Args:
            t: number of the step.
            weight_transposed: weights from the states to ``[r | z | m]``, transposed ``[Z, 3H, H]``.
            out: tensor to which the gradient is written.
        """
        torch.add(self.direct_at[t], torch.bmm(self.state_at[t], weight_transposed), out=out)


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
    """The dropout multipliers of a whole batch: each is 0 or 1/(1−p), and None means no dropout.

    They are drawn before the loop.

    Args:
        global_KNG: for the global states g, one row per packed turn.
        speaker_ZNP: for the states of the speakers, one row per packed turn.
        listener_ZLP: for the states of the listeners, one row per listener update of the layout.
        emotion_KNE: for the emotion states e, one row per packed turn.
    """

    global_KNG: Tensor | None = None
    speaker_ZNP: Tensor | None = None
    listener_ZLP: Tensor | None = None
    emotion_KNE: Tensor | None = None


def split_by_step(mask: Tensor | None, rows_per_step: list[int]) -> Sequence[Tensor | None]:
    """Return the multipliers of each step, or a None for each step if there is no mask."""
    return [None] * len(rows_per_step) if mask is None else torch.split(mask, rows_per_step, dim=1)


def draw_mask(like: Tensor, dropout: float, *shape: int) -> Tensor:
    """Draw new dropout multipliers, with the device and the precision of ``like``."""
    keep = 1 - dropout
    return like.new_empty(shape).uniform_().lt_(keep).div_(keep)  # takes half the time of bernoulli_
