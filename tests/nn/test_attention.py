"""Attention ignores masked entries exactly, and its running mean equals the plain softmax."""

import pytest
import torch

from dialogue_ser.nn.attention import ATTENTION_KINDS, HistoryAttention, masked_softmax


def test_softmax_over_nothing_is_zero_and_has_finite_gradients() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    is_visible = torch.tensor([[True, False, True], [False, False, False]])
    weights = masked_softmax(logits, is_visible)
    assert weights[1].tolist() == [0.0, 0.0, 0.0]
    assert weights[0, 1] == 0
    weights.square().sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().sum() == 0


@pytest.mark.parametrize("kind", ["simple", "simple-linear"])
def test_running_attention_equals_softmax_even_for_huge_logits(kind: str) -> None:
    torch.manual_seed(0)
    attention = HistoryAttention(kind, 4, 3, 2).double()
    with torch.no_grad():
        attention.weight.mul_(2000.0)
    g = torch.randn(2, 1, 7, 4, dtype=torch.float64)
    history = None
    for t in range(7):
        history = attention.write(history, g[:, :, t])
    context = attention.read(history, None, 1)
    expected = torch.softmax(attention.logits(g, None), -1)[..., None].mul(g).sum(2)
    assert context is not None
    torch.testing.assert_close(context, expected)
    assert torch.isfinite(context).all()


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
def test_there_is_no_context_at_the_first_turn(kind: str) -> None:
    attention = HistoryAttention(kind, 3, 3, 1)
    assert attention.read(None, attention.queries(torch.randn(1, 2, 3)), 2) is None


def test_matching_is_the_general_kind() -> None:
    assert HistoryAttention("matching", 3, 3, 1).kind == "general"
