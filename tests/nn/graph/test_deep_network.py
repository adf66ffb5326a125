"""The deep graph network; its numbers are compared with plain loops in tests/models/published."""

import pytest
import torch

from dialogue_ser.nn.graph import deep_network
from dialogue_ser.nn.graph.deep_network import DeepGraphNetwork
from dialogue_ser.nn.graph.similarity import similarity_graph

ROWS = torch.tensor([[0, 0, 0], [1, 1, -1]])


def network(*, dropout: float = 0.0, layer_lstm: bool = False, n_layers: int = 3) -> DeepGraphNetwork:
    torch.manual_seed(0)
    return DeepGraphNetwork(
        5, 4, n_layers, dropout=dropout, decay=0.5, initial_share=0.1, layer_lstm=layer_lstm
    ).double()


def test_many_layers_computed_together_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 2, 3, 5, dtype=torch.float64)
    graph, net = similarity_graph(x, ROWS), network(n_layers=5)
    whole = net(graph, x)
    monkeypatch.setattr(deep_network, "MOST_VALUES", 2 * 2 * 3 * 4 * 2)
    torch.testing.assert_close(net(graph, x), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rate", [0.25, 0.4])
def test_dropout_keeps_its_share_and_the_mean(rate: float) -> None:
    net, x = network(dropout=rate), torch.ones(3, 333, dtype=torch.float64)
    dropped = net._dropped(x.repeat(40, 1))
    assert set(dropped.unique().tolist()) == {0.0, 1 / (1 - rate)}
    assert float((dropped == 0).double().mean()) == pytest.approx(rate, abs=0.01)
    lag_correlation = torch.corrcoef(torch.stack([dropped.flatten()[:-1], dropped.flatten()[1:]]))[0, 1]
    assert abs(float(lag_correlation)) < 0.02, "the four values of one random number are independent"
    assert net.eval()._dropped(x) is x


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
