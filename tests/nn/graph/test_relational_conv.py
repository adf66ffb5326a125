"""The relational convolution with weights of edges, beside a plain loop over the edges."""

import torch

from dialogue_ser.nn.graph.relational_conv import RelationalConv

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
