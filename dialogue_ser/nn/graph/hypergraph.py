"""Convolutions of M3NET over the turns of several modalities: over hyperedges, and over all pairs."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn import MessagePassing

#: Largest number of gates that are kept together, padding included (16 MB in single precision).
MOST_GATES = 2**22


class HypergraphConvolution(MessagePassing):  # type: ignore[misc]
    """edge_e = b_e Σ_{v ∈ e} h_v; h_v ← LeakyReLU(d_v Σ_{e ∋ v} edge_e + bias).

    torch-geometric's own ``HypergraphConv`` multiplies h by a matrix and divides by the number of nodes in a hyperedge.
    The published layer has no matrix, and its divisors can be sums of weights, so both are given here.

    Args:
        dim: number of units of h.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(aggr="add")
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        h_VH: Float[Tensor, "node hidden"],
        incidences: Int[Tensor, "two incidence"],
        node_scale_V: Float[Tensor, " node"],
        edge_scale_E: Float[Tensor, " hyperedge"],
    ) -> Float[Tensor, "node hidden"]:
        """The new vectors of the nodes.

        Args:
            h_VH: vectors of the nodes.
            incidences: a column is a node and a hyperedge that it belongs to.
            node_scale_V: d.
            edge_scale_E: b.
        """
        n_nodes, n_edges = len(node_scale_V), len(edge_scale_E)
        edge_EH = self.propagate(incidences, x=h_VH, size=(n_nodes, n_edges)) * edge_scale_E[:, None]
        sums_VH = self.propagate(incidences.flip(0), x=edge_EH, size=(n_edges, n_nodes))
        return functional.leaky_relu(sums_VH * node_scale_V[:, None] + self.bias, 0.01)

    def message(self, x_j: Tensor) -> Tensor:
        """What a node gives to its hyperedge, and a hyperedge to its node."""
        return x_j


class HighFrequencyConvolution(nn.Module):
    """g_i ← g_i + Σ_{(j,i)} g_j · tanh(w · [g_i; g_j] + b) / √(d_j d_i).

    The pairs are all j ≠ i of one modality in a dialogue, and all modalities of one turn. Every node of a dialogue with
    n turns in M modalities has d = n + M − 2 pairs. A gate is a number, so the sums over a modality are one batched
    product of ``[T, T]`` gates. Messages of all H units for each pair would need H times the memory. If the gates of a
    batch are many, a part of the turns is computed after the other, and in backward again.

    Args:
        dim: H, the number of units of g.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * dim, 1)

    def forward(
        self, g_BMTH: Float[Tensor, "batch modality turn hidden"], scale_BT: Float[Tensor, "batch turn"]
    ) -> Float[Tensor, "batch modality turn hidden"]:
        """The new vectors.

        Args:
            g_BMTH: vectors of the nodes, 0 on padding.
            scale_BT: 1 / d; 0 on padding, and where a turn has no pair.
        """
        own_H, other_H = self.gate.weight[0].chunk(2)
        receive_BMT = g_BMTH @ own_H + self.gate.bias
        send_BMT = g_BMTH @ other_H
        sums_BMTH = self._within_modalities(g_BMTH, receive_BMT, send_BMT)
        if g_BMTH.shape[1] > 1:
            sums_BMTH = sums_BMTH + self._within_turns(g_BMTH, receive_BMT, send_BMT)
        return g_BMTH + sums_BMTH * scale_BT[:, None, :, None]

    def _within_modalities(self, g_BMTH: Tensor, receive_BMT: Tensor, send_BMT: Tensor) -> Tensor:
        n_turns = g_BMTH.shape[2]
        size = max(1, MOST_GATES // max(1, send_BMT.numel()))
        if size >= n_turns:
            return _gated_sums(g_BMTH, receive_BMT, send_BMT, 0)
        starts = range(0, n_turns, size)
        if not torch.is_grad_enabled():
            parts = [_gated_sums(g_BMTH, receive_BMT[:, :, t : t + size], send_BMT, t) for t in starts]
        else:
            parts = [
                checkpoint(
                    _gated_sums,
                    g_BMTH,
                    receive_BMT[:, :, t : t + size],
                    send_BMT,
                    t,
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
                for t in starts
            ]
        return torch.cat(parts, dim=2)

    def _within_turns(self, g_BMTH: Tensor, receive_BMT: Tensor, send_BMT: Tensor) -> Tensor:
        by_turn_BTMH = _gated_sums(g_BMTH.transpose(1, 2), receive_BMT.transpose(1, 2), send_BMT.transpose(1, 2), 0)
        return by_turn_BTMH.transpose(1, 2)


def _gated_sums(g: Tensor, receive: Tensor, send: Tensor, first: int) -> Tensor:
    """Σ_{j ≠ i} tanh(receive_i + send_j) g_j over the last dimension but one of g, for i from ``first`` on."""
    logits = receive[..., :, None] + send[..., None, :]
    logits.diagonal(offset=first, dim1=-2, dim2=-1).zero_()  # tanh(0) = 0: no node is a pair with itself
    return logits.tanh() @ g
