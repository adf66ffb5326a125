"""Real turns as rows of a matrix, and back."""

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from dialogue_ser.nn.attention import uniform_weight
from dialogue_ser.nn.nodes import to_nodes, to_turns


def test_nodes_are_the_real_turns_dialogue_after_dialogue() -> None:
    x_BTD = torch.arange(12.0).view(2, 3, 2)
    row_N = torch.tensor([0, 1, 2, 3])  # three turns and one
    assert to_nodes(x_BTD, row_N).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_turns_have_exact_zeros_on_padding_and_nothing_else_is_lost() -> None:
    x_BTD = torch.full((2, 3, 2), float("nan"))
    row_N = torch.tensor([0, 3, 4])  # one turn and two
    nodes = torch.arange(6.0).view(3, 2)
    x_BTD.view(6, 2)[row_N] = nodes
    back = to_turns(to_nodes(x_BTD, row_N), row_N, 2, 3)
    assert torch.equal(back.view(6, 2)[row_N], nodes)
    assert back.view(6, 2)[[1, 2, 5]].abs().sum() == 0


def test_no_gradient_reaches_padding() -> None:
    x_BTD = torch.randn(2, 3, 2, requires_grad=True)
    row_N = torch.tensor([0, 3, 4])
    to_turns(to_nodes(x_BTD, row_N), row_N, 2, 3).square().sum().backward()
    assert x_BTD.grad is not None
    assert (x_BTD.grad.view(6, 2).abs().sum(1) > 0).tolist() == [True, False, False, True, True, False]


def test_the_suite_checks_shapes_and_types_of_what_is_called() -> None:
    with pytest.raises(TypeCheckError):  # the second one has one dimension only
        to_nodes(torch.zeros(1, 2, 3), torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(BeartypeCallHintViolation):  # a function without shapes
        uniform_weight(2, fan_in="three")  # type: ignore[arg-type]
