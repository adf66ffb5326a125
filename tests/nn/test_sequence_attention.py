"""Every turn sees exactly the allowed turns, with the weights of the equation."""

import math

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn import sequence_attention
from dialogue_ser.nn.sequence_attention import SEQUENCE_ATTENTION_KINDS, SequenceAttention

LENGTHS = [5, 1, 3]
KINDS = pytest.mark.parametrize("kind", SEQUENCE_ATTENTION_KINDS)
CAUSAL = pytest.mark.parametrize("causal", [False, True])


def _attention(kind: str, *, causal: bool = False) -> SequenceAttention:
    torch.manual_seed(3)
    return SequenceAttention(kind, 4, causal=causal).double()


def _states() -> tuple[Tensor, Tensor]:
    e_BTH = torch.randn(len(LENGTHS), max(LENGTHS), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return e_BTH, torch.tensor(LENGTHS)


@KINDS
@CAUSAL
def test_it_computes_the_equation_turn_by_turn(kind: str, causal: bool) -> None:
    attention, (e_BTH, n_turns) = _attention(kind, causal=causal), _states()
    pooled, weights = attention(e_BTH, n_turns), attention.weights(e_BTH, n_turns)
    assert weights.shape == (3, 5, 5)
    for b, n in enumerate(LENGTHS):
        for t in range(n):
            seen = e_BTH[b, : t + 1 if causal else n]
            logits = torch.stack(
                [(attention.transform.weight @ e_BTH[b, t] + attention.transform.bias) @ e for e in seen]
            )
            alpha = torch.softmax(torch.tanh(logits) if kind == "general2-tanh" else logits, dim=0)
            torch.testing.assert_close(weights[b, t, : len(seen)], alpha, rtol=0, atol=1e-12)
            assert weights[b, t, len(seen) :].abs().sum() == 0
            torch.testing.assert_close(pooled[b, t], alpha @ seen, rtol=0, atol=1e-12)


def test_two_turns_by_hand() -> None:
    """W = 1, b = 1, e = (1, 2): logits of turn 1 are 2·1 and 2·2, of turn 2 they are 3·1 and 3·2."""
    attention = SequenceAttention("general2", 1)
    torch.nn.init.ones_(attention.transform.weight)
    torch.nn.init.ones_(attention.transform.bias)
    e_BTH, n_turns = torch.tensor([[[1.0], [2.0]]]), torch.tensor([2])
    pooled, weights = attention(e_BTH, n_turns), attention.weights(e_BTH, n_turns)
    first, second = 1 / (1 + math.exp(2)), 1 / (1 + math.exp(3))  # weight of e_1 seen from turn 1, from turn 2
    torch.testing.assert_close(weights, torch.tensor([[[first, 1 - first], [second, 1 - second]]]))
    torch.testing.assert_close(pooled, torch.tensor([[[2 - first], [2 - second]]]))


@KINDS
@CAUSAL
def test_padding_gives_zeros_and_changes_nothing(kind: str, causal: bool) -> None:
    attention, (e_BTH, n_turns) = _attention(kind, causal=causal), _states()
    spoiled = e_BTH.clone()
    for b, n in enumerate(LENGTHS):
        spoiled[b, n:] = 1e6
    for compute in (attention, attention.weights):
        one, other = compute(spoiled, n_turns), compute(e_BTH, n_turns)
        assert torch.equal(one, other)
        assert all(other[b, n:].abs().sum() == 0 for b, n in enumerate(LENGTHS))


def test_no_gradient_reaches_padding() -> None:
    attention, (e_BTH, n_turns) = _attention("general2"), _states()
    e_BTH.requires_grad_()
    attention(e_BTH, n_turns).square().sum().backward()
    assert e_BTH.grad is not None
    for b, n in enumerate(LENGTHS):
        assert e_BTH.grad[b, n:].abs().sum() == 0
        assert (e_BTH.grad[b, :n].abs().sum(-1) > 0).all()


@KINDS
@CAUSAL
def test_the_future_is_seen_iff_not_causal(kind: str, causal: bool) -> None:
    attention, (e_BTH, n_turns) = _attention(kind, causal=causal), _states()
    later = e_BTH.clone()
    later[:, 2:] += 1.0
    one, other = attention(e_BTH, n_turns), attention(later, n_turns)
    assert torch.equal(one[:, :2], other[:, :2]) == causal


@KINDS
def test_the_newest_turn_gets_the_same_as_in_the_whole_dialogue(kind: str) -> None:
    attention, (e_BTH, n_turns) = _attention(kind, causal=True), _states()
    pooled = attention(e_BTH, n_turns)
    for t in range(5):
        torch.testing.assert_close(attention.newest(e_BTH[0, : t + 1]), pooled[0, t], rtol=0, atol=1e-12)


@KINDS
def test_huge_logits_stay_finite(kind: str) -> None:
    attention = SequenceAttention(kind, 4)
    e_BTH, n_turns = 1e4 * torch.ones(1, 3, 4), torch.tensor([3])
    pooled, weights = attention(e_BTH, n_turns), attention.weights(e_BTH, n_turns)
    assert torch.isfinite(pooled).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 3))


@KINDS
@CAUSAL
@pytest.mark.parametrize("most_weights", [1, 40])
def test_a_long_dialogue_is_computed_in_parts_with_the_same_values_and_gradients(
    kind: str, causal: bool, most_weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention, (e_BTH, n_turns) = _attention(kind, causal=causal), _states()
    results = []
    for most in (sequence_attention.MOST_WEIGHTS, most_weights):
        monkeypatch.setattr(sequence_attention, "MOST_WEIGHTS", most)
        e_BTH.requires_grad_()
        pooled = attention(e_BTH, n_turns)
        gradients = torch.autograd.grad(pooled.square().sum(), [e_BTH, *attention.parameters()])
        with torch.no_grad():
            results.append((pooled, attention(e_BTH, n_turns), *gradients))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
