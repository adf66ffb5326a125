"""The deep graph network; its numbers are compared with plain loops in tests/models/published."""

import torch

from dialogue_ser.nn.graph.deep_network import DeepGraphNetwork
from dialogue_ser.nn.graph.similarity import similarity_graph

ROWS = torch.tensor([[0, 0, 0], [1, 1, -1]])


def network(*, layer_lstm: bool = False, n_layers: int = 3) -> DeepGraphNetwork:
    torch.manual_seed(0)
    return DeepGraphNetwork(5, 4, n_layers, dropout=0.0, decay=0.5, initial_share=0.1, layer_lstm=layer_lstm).double()


def test_the_lstm_through_the_layers_is_one_for_all_of_them() -> None:
    assert network().lstm is None
    sizes = {name: tuple(value.shape) for name, value in network(layer_lstm=True, n_layers=7).named_parameters()}
    assert sizes["lstm.weight_ih"] == (16, 4)
    assert sizes["weight_LIH"] == (7, 8, 4)


def test_autocast_changes_nothing() -> None:
    x, net = torch.randn(2, 2, 3, 5), network(layer_lstm=True).float()
    graph = similarity_graph(x, ROWS)
    with torch.autocast("cpu", torch.bfloat16):
        low = net(similarity_graph(x.bfloat16().float(), ROWS), x)
        same = net(graph, x)
    assert low.dtype == torch.float32
    torch.testing.assert_close(same, net(graph, x))
