"""A GRU whose reset gate acts before the matrix, as TensorFlow's GRUCell has it; torch's acts after the matrix."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ResetFirstGRU(nn.Module):
    """A GRU over sequences that lie side by side, step after step.

    [r; z] = σ(W_g x + U_g h + b_g), n = tanh(W_c x + U_c (r ⊙ h) + b_c), h' = z ⊙ h + (1−z) ⊙ n. As in TensorFlow, the
    biases b_g start at 1, b_c at 0, and the matrices start by Glorot's uniform rule.

    Args:
        in_dim: number of features of x.
        hidden_dim: H, the number of units of h.
    """

    def __init__(self, in_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.input = nn.Linear(in_dim, 3 * hidden_dim)
        self.state_gates = nn.Linear(hidden_dim, 2 * hidden_dim, bias=False)
        self.state_candidate = nn.Linear(hidden_dim, hidden_dim, bias=False)
        with torch.no_grad():
            n_inputs = in_dim + hidden_dim
            for matrix, n_outputs in (
                (self.input.weight[: 2 * hidden_dim], 2 * hidden_dim),
                (self.input.weight[2 * hidden_dim :], hidden_dim),
                (self.state_gates.weight, 2 * hidden_dim),
                (self.state_candidate.weight, hidden_dim),
            ):
                bound = (6 / (n_inputs + n_outputs)) ** 0.5
                matrix.uniform_(-bound, bound)
            self.input.bias.fill_(1.0)
            self.input.bias[2 * hidden_dim :] = 0.0

    def project(self, x_ND: Float[Tensor, "row feature"]) -> Float[Tensor, "row gates"]:
        """W x + b of all rows: r, z and n side by side. It does not depend on the states."""
        projected: Tensor = self.input(x_ND)
        return projected

    def forward(
        self,
        gates_S3: Float[Tensor, "step gates"],
        sizes: Sequence[int],
        first: Float[Tensor, "sequence hidden"] | None = None,
    ) -> Float[Tensor, "step hidden"]:
        """The states after all steps of all sequences.

        Args:
            gates_S3: :meth:`project` of the steps, the first step of all sequences first; the longest sequence first.
            sizes: number of sequences that have a first, second, … step.
            first: states before the first step; None = zeros.
        """
        if not sizes:  # no rows, but every parameter keeps a gradient
            return (
                gates_S3[:, : self.hidden_dim]
                @ self.state_gates.weight[: self.hidden_dim]
                @ self.state_candidate.weight
            )
        if first is None:
            first = gates_S3.new_zeros(sizes[0], self.hidden_dim)
        states: Tensor = _Steps.apply(  # type: ignore[no-untyped-call]
            gates_S3, first, self.state_gates.weight, self.state_candidate.weight, list(sizes)
        )
        return states

    def idle_states(self, n_steps: int) -> Float[Tensor, "step hidden"]:
        """The states after 0, 1, … ``n_steps`` steps of x = 0."""
        first = self.input.bias.new_zeros(1, self.hidden_dim)
        states = self(self.input.bias.expand(n_steps, -1), [1] * n_steps)
        return torch.cat([first, states])


class _Steps(torch.autograd.Function):
    """All steps as one node: autograd would record ten operations a step."""

    @staticmethod
    def forward(
        ctx: Any, gates_S3: Tensor, first: Tensor, u_gates: Tensor, u_candidate: Tensor, sizes: list[int]
    ) -> Tensor:
        """The states after all steps."""
        dim, h = first.shape[1], first
        before, states, gates, candidates = [], [], [], []
        for given in torch.split(gates_S3, sizes):
            h = h[: len(given)]
            rz = torch.addmm(given[:, : 2 * dim], h, u_gates.T).sigmoid_()
            n = torch.addmm(given[:, 2 * dim :], rz[:, :dim] * h, u_candidate.T).tanh_()
            before.append(h)
            h = torch.lerp(n, h, rz[:, dim:])
            states.append(h)
            gates.append(rz)
            candidates.append(n)
        ctx.sizes = sizes
        ctx.save_for_backward(torch.cat(before), torch.cat(gates), torch.cat(candidates), u_gates, u_candidate)
        return torch.cat(states)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_SH: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """The gradients to the gates, to the first states and to both matrices."""
        h_SH, rz_S2, n_SH, u_gates, u_candidate = ctx.saved_tensors
        dim, sizes = h_SH.shape[1], ctx.sizes
        r_SH, z_SH = rz_S2.split(dim, dim=1)
        # What does not depend on later steps is computed for all steps together.
        to_z_SH = (h_SH - n_SH) * z_SH * (1 - z_SH)
        to_n_SH = (1 - z_SH) * (1 - n_SH * n_SH)
        to_r_SH = h_SH * r_SH * (1 - r_SH)
        gates_S3 = grad_SH.new_empty(len(grad_SH), 3 * dim)
        later = grad_SH.new_zeros(sizes[0], dim)
        end = len(grad_SH)
        for size in reversed(sizes):
            step = slice(end - size, end)
            end -= size
            grad = grad_SH[step] + later[:size]
            given = gates_S3[step]
            torch.mul(grad, to_n_SH[step], out=given[:, 2 * dim :])
            to_product = given[:, 2 * dim :] @ u_candidate
            torch.mul(to_product, to_r_SH[step], out=given[:, :dim])
            torch.mul(grad, to_z_SH[step], out=given[:, dim : 2 * dim])
            earlier = torch.addcmul(grad * z_SH[step], to_product, r_SH[step])
            later[:size] = earlier.addmm_(given[:, : 2 * dim], u_gates)
        to_u_gates = gates_S3[:, : 2 * dim].T @ h_SH
        to_u_candidate = gates_S3[:, 2 * dim :].T @ (r_SH * h_SH)
        return gates_S3, later, to_u_gates, to_u_candidate, None
