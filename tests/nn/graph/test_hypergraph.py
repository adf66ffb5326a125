"""Convolutions of M3NET: over hyperedges, and over all pairs, beside plain loops."""

import pytest
import torch
from torch.nn import functional

from dialogue_ser.nn.graph import hypergraph
from dialogue_ser.nn.graph.hypergraph import HighFrequencyConvolution, HypergraphConvolution


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_hyperedges_collect_their_nodes_and_nodes_their_hyperedges() -> None:
    layer = HypergraphConvolution(2).double()
    layer.bias.data = _random(2)
    h_VH, node_V, edge_E = _random(3, 2), torch.tensor([0.5, 1.0, 2.0]).double(), torch.tensor([0.25, 3.0]).double()
    found = layer(h_VH, torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]]), node_V, edge_E)
    one, other = 0.25 * (h_VH[0] + h_VH[1]), 3.0 * (h_VH[1] + h_VH[2])
    right = torch.stack([0.5 * one, one + other, 2.0 * other]) + layer.bias
    torch.testing.assert_close(found, functional.leaky_relu(right, 0.01))


def _plain(layer: HighFrequencyConvolution, g_MTH: torch.Tensor) -> torch.Tensor:
    n_modalities, n_turns, _ = g_MTH.shape
    new = g_MTH.clone()
    for m, t in ((m, t) for m in range(n_modalities) for t in range(n_turns)):
        for k, s in ((k, s) for k in range(n_modalities) for s in range(n_turns)):
            if (k, s) != (m, t) and (k == m or s == t):
                gate = torch.tanh(layer.gate(torch.cat([g_MTH[m, t], g_MTH[k, s]])))
                new[m, t] = new[m, t] + gate * g_MTH[k, s] / (n_turns + n_modalities - 2)
    return new


@pytest.mark.parametrize("most", [hypergraph.MOST_GATES, 1], ids=["together", "turn after turn"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 3), (2, 1), (1, 1)])
def test_pairs_are_those_of_a_plain_loop_and_padding_has_none(shape, most, monkeypatch) -> None:
    monkeypatch.setattr(hypergraph, "MOST_GATES", most)
    layer, (n_modalities, n_turns) = HighFrequencyConvolution(5).double(), shape
    g_MTH = _random(*shape, 5).requires_grad_()
    padded = functional.pad(g_MTH, (0, 0, 0, 2))[None]
    scale_BT = functional.pad(torch.ones(1, n_turns), (0, 2)).double() / max(1, n_turns + n_modalities - 2)
    found = layer(padded, scale_BT)
    right = _plain(layer, g_MTH)
    torch.testing.assert_close(found[0, :, :n_turns], right)
    assert found[0, :, n_turns:].abs().sum() == 0
    wanted = [g_MTH, *layer.parameters()]
    gradients = [
        torch.autograd.grad(value.square().sum(), wanted, allow_unused=True, materialize_grads=True)
        for value in (found, right)
    ]
    for own, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(own, plain)
    with torch.no_grad():
        torch.testing.assert_close(layer(padded, scale_BT), found)
