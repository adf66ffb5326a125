"""The relational convolution with weights of edges, beside a plain loop over the edges."""

import pytest
import torch

from dialogue_ser.nn.graph import edge_parts
from dialogue_ser.nn.graph.relational_conv import RelationalConv, SumConv

EDGES = torch.tensor([[0, 1, 2, 2, 3], [0, 0, 1, 3, 2]])


def test_it_is_the_sum_over_the_edges_and_the_own_node() -> None:
    torch.manual_seed(0)
    own = RelationalConv(3, 2, 6, 4).double()
    torch.nn.init.normal_(own.bias)
    x_ND, weight_E = torch.randn(4, 3, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    relations_R, relation_E = torch.tensor([1, 4, 5]), torch.tensor([0, 2, 1, 1, 0])
    expected = x_ND @ own.root + own.bias
    for (source, target), weight, relation in zip(EDGES.T.tolist(), weight_E, relation_E, strict=True):
        mixed = sum(own.comp[relations_R[relation], b] * own.basis[b] for b in range(4))
        expected[target] += weight * (x_ND[source] @ mixed)
    torch.testing.assert_close(own(x_ND, EDGES, weight_E, relation_E, relations_R), expected)


def test_nodes_without_edges_keep_their_own_part() -> None:
    own, x_ND = RelationalConv(3, 2, 4, 2), torch.randn(4, 3)
    nothing = torch.zeros(0, dtype=torch.int64)
    found = own(x_ND, EDGES[:, :0], torch.zeros(0), nothing, nothing)
    torch.testing.assert_close(found, x_ND @ own.root + own.bias)


def test_the_second_layer_sums_neighbours_without_weights() -> None:
    own, x_NG = SumConv(3).double(), torch.randn(4, 3, dtype=torch.float64)
    expected = x_NG @ own.lin_root.weight.T + own.lin_rel.bias
    for source, target in EDGES.T.tolist():
        expected[target] += x_NG[source] @ own.lin_rel.weight.T
    torch.testing.assert_close(own(x_NG, EDGES), expected)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_edges_in_parts_give_the_same_sums_and_gradients(has_gradient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    first, second = RelationalConv(3, 3, 2, 2).double(), SumConv(3).double()
    x_ND, weight_E = torch.randn(4, 3, dtype=torch.float64), torch.rand(5, dtype=torch.float64, requires_grad=True)
    relation_E = torch.tensor([0, 1, 1, 0, 0])

    def run() -> list[torch.Tensor]:
        with torch.set_grad_enabled(has_gradient):
            y_NG = second(first(x_ND, EDGES, weight_E, relation_E, torch.arange(2)), EDGES)
        leaves = [weight_E, *first.parameters(), *second.parameters()] if has_gradient else []
        return [y_NG, *(torch.autograd.grad(y_NG.square().sum(), leaves) if leaves else [])]

    together = run()
    monkeypatch.setattr(edge_parts, "MOST_EDGES", 2)
    assert len(edge_parts.edge_parts(lambda first, end: torch.zeros(()), 5)) == 3
    for one, other in zip(run(), together, strict=True):
        torch.testing.assert_close(one, other)
