"""A GRU cell of both directions, with named inputs: some are known before the loop, others are states inside it."""

from collections.abc import Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.nn.attention import uniform_weight
from dialogue_ser.nn.gru.cells import gru


class DirectedCell(nn.Module):
    """The weights of a GRU cell. Gates have the order of :mod:`dialogue_ser.nn.gru.cells`. Direction K is axis 0.

    Args:
        n_directions: K, each with its own weights.
        hidden_dim: H, the number of units.
        known: input that is known for all turns before the loop → its size. There may be none.
        states: input that the loop computes → its size.
    """

    def __init__(
        self, n_directions: int, hidden_dim: int, *, known: Mapping[str, int], states: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.hidden_dim, self.known, self.states = hidden_dim, dict(known), dict(states)
        weight = partial(uniform_weight, n_directions, fan_in=hidden_dim)
        self.from_known = weight(sum(known.values()), 3 * hidden_dim) if known else None
        self.from_states = weight(sum(states.values()), 3 * hidden_dim)
        self.from_own = weight(hidden_dim, 3 * hidden_dim)
        self.bias = weight(3 * hidden_dim)
        self.bias_m = weight(hidden_dim)

    def known_gates(self, given: Mapping[str, Tensor], n_rows: int) -> Float[Tensor, "direction row gate"]:
        """``[n | r | z]`` from the known inputs and the bias, for all turns; at least in single precision."""
        if self.from_known is None:
            return self.bias[:, None].expand(-1, n_rows, -1)
        joined = torch.cat([given[name] for name in self.known], dim=-1)
        gates = torch.baddbmm(self.bias[:, None], joined, self.from_known)
        return gates.to(torch.promote_types(gates.dtype, torch.float32))

    def own_gates(self, h: Float[Tensor, "direction row unit"]) -> Float[Tensor, "direction row gate"]:
        """``[r | z | m]`` from the state before, bias of m included."""
        bias = nn.functional.pad(self.bias_m, (2 * self.hidden_dim, 0))
        return torch.baddbmm(bias[:, None], h, self.from_own)

    def step(self, gates_x: Tensor, h: Float[Tensor, "direction row unit"]) -> Float[Tensor, "direction row unit"]:
        """The new states, from ``[n | r | z]`` of all inputs and the states before."""
        return gru(gates_x, self.own_gates(h), h)
