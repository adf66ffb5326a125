"""The hand-written node of the deep layers against a plain loop that autograd follows."""

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.nn.dropout import kept
from dialogue_ser.nn.graph.deep_layers import StepWeights, run_layers
from dialogue_ser.nn.graph.similarity import SimilarityGraph, similarity_graph

ROWS = torch.tensor([[0, 0, 0, 1], [2, 2, -1, -1]])
SIZE, N_LAYERS = 4, 3


def plain(
    graph: SimilarityGraph, start: Tensor, first: Tensor, weight: Tensor, dropout: float, lstm: nn.LSTMCell | None
) -> Tensor:
    """The layers one after the other, with the same random numbers."""
    h, state = first, None
    for weight_IH in weight:
        before = h
        if lstm is not None:
            state = lstm(before.flatten(0, 2), state)
            h = state[0].view_as(before)
        joined = torch.cat([graph.sums(h), start], dim=-1)
        h = torch.relu(joined @ weight_IH)
        if dropout:
            h = h * kept(h, dropout)
        if lstm is not None:
            h = h + before
    return h


def step_weights(lstm: nn.LSTMCell) -> StepWeights:
    factor = torch.tensor([1.0, 1.0, 2.0, 1.0], dtype=torch.float64).repeat_interleave(SIZE)
    joined = torch.cat([lstm.weight_ih, lstm.weight_hh], dim=1)
    return StepWeights(factor[:, None] * joined, factor * (lstm.bias_ih + lstm.bias_hh))


@pytest.mark.parametrize("n_kinds", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("with_lstm", [False, True])
def test_values_and_all_gradients_are_those_of_a_plain_loop(n_kinds: int, dropout: float, with_lstm: bool) -> None:
    torch.manual_seed(1)
    x = torch.randn(n_kinds, *ROWS.shape, 5, dtype=torch.float64, requires_grad=True)
    start, first = (torch.randn(n_kinds, *ROWS.shape, SIZE, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.randn(N_LAYERS, 2 * SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    lstm = nn.LSTMCell(SIZE, SIZE).double() if with_lstm else None
    graph = similarity_graph(x, ROWS)
    leaves = [x, start, first, weight, *(lstm.parameters() if lstm else ())]
    torch.manual_seed(2)
    expected = plain(graph, start, first, weight, dropout, lstm)
    torch.manual_seed(2)
    found = run_layers(graph, start, first, weight, dropout=dropout, step=step_weights(lstm) if lstm else None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    side = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad((found * side).sum(), leaves, retain_graph=True),
        torch.autograd.grad((expected * side).sum(), leaves, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_second_backward_gives_the_same_gradients() -> None:
    x = torch.randn(2, *ROWS.shape, 5, dtype=torch.float64)
    start = torch.randn(2, *ROWS.shape, SIZE, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(N_LAYERS, 2 * SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    step = step_weights(nn.LSTMCell(SIZE, SIZE).double())
    out = run_layers(similarity_graph(x, ROWS), start, start, weight, step=step).square().sum()
    once, again = (torch.autograd.grad(out, (start, weight), retain_graph=True) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert torch.equal(one, other)


def test_a_result_does_not_change_when_its_input_is_changed_afterwards() -> None:
    x, start = torch.randn(1, *ROWS.shape, 5), torch.rand(1, *ROWS.shape, SIZE)
    weight = torch.rand(1, 2 * SIZE, SIZE)
    first = start.clone()
    out = run_layers(similarity_graph(x, ROWS), start, first, weight)
    before = out.clone()
    first.zero_()
    assert torch.equal(out, before)
