"""The masked losses of values equal plain loops, scipy and finite differences, in fp64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import Tensor

from dialogue_ser.nn.value_losses import masked_ccc, masked_mse

NAN = float("nan")
LOSSES = [masked_ccc, masked_mse]
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _values(n: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Predictions and gold of two dimensions; each lacks some gold, one turn lacks both."""
    generator = torch.Generator().manual_seed(seed)
    gold = 3 + torch.randn(n, 2, generator=generator, dtype=torch.float64)
    value = 0.6 * gold + 1 + torch.randn(n, 2, generator=generator, dtype=torch.float64)
    gold[1, 0] = gold[4, 1] = NAN
    gold[7] = NAN
    return value, gold


def _ccc_by_loops(value: list[float], gold: list[float]) -> float:
    pairs = [(p, g) for p, g in zip(value, gold, strict=True) if not math.isnan(g)]
    n = len(pairs)
    mean_p, mean_g = sum(p for p, _ in pairs) / n, sum(g for _, g in pairs) / n
    covariance = sum((p - mean_p) * (g - mean_g) for p, g in pairs) / n
    var_p, var_g = sum((p - mean_p) ** 2 for p, _ in pairs) / n, sum((g - mean_g) ** 2 for _, g in pairs) / n
    return 2 * covariance / (var_p + var_g + (mean_p - mean_g) ** 2)


def test_ccc_is_the_plain_sum_over_annotated_turns() -> None:
    value, gold = _values()
    numerator, denominator = masked_ccc(value, gold)
    expected = sum(1 - _ccc_by_loops(value[:, s].tolist(), gold[:, s].tolist()) for s in range(2)) / 2
    assert float(numerator / denominator) == pytest.approx(expected, abs=1e-14)
    assert denominator == 8  # turns annotated in some dimension


def test_ccc_follows_from_scipys_correlation_and_both_variances() -> None:
    value, gold = _values(40, seed=3)
    expected = []
    for s in range(2):
        is_known = gold[:, s].isfinite()
        p, g = value[is_known, s].numpy(), gold[is_known, s].numpy()
        shared = 2 * pearsonr(p, g).statistic * p.std() * g.std()
        expected.append(1 - shared / (p.var() + g.var() + (p.mean() - g.mean()) ** 2))
    numerator, denominator = masked_ccc(value, gold)
    assert float(numerator / denominator) == pytest.approx(float(np.mean(expected)), abs=1e-13)


def test_mse_is_the_plain_sum_over_annotated_values() -> None:
    value, gold = _values()
    known = [(n, s) for n in range(9) for s in range(2) if not math.isnan(gold[n, s])]
    numerator, denominator = masked_mse(value, gold)
    assert denominator == len(known) == 14
    assert float(numerator) == pytest.approx(sum(float(value[at] - gold[at]) ** 2 for at in known), abs=1e-12)


def test_squared_errors_of_parts_add_up_to_the_whole() -> None:
    value, gold = _values()
    whole, pieces = masked_mse(value, gold), [masked_mse(value[part], gold[part]) for part in (slice(5), slice(5, 9))]
    for part in range(2):
        torch.testing.assert_close(pieces[0][part] + pieces[1][part], whole[part])


def test_several_batches_weigh_their_cccs_by_their_turns() -> None:
    value, gold = _values()
    pieces = [masked_ccc(value[part], gold[part]) for part in (slice(5), slice(5, 9))]
    assert [float(denominator) for _, denominator in pieces] == [5, 3]
    for numerator, denominator in pieces:
        own = float(numerator / denominator)
        assert 0 < own < 2
        assert float(numerator) == pytest.approx(own * float(denominator))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences(loss: Loss) -> None:
    value, gold = _values()
    assert torch.autograd.gradcheck(lambda v: loss(v, gold)[0], value.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_missing_gold_changes_neither_the_loss_nor_its_gradient(loss: Loss) -> None:
    value, gold = _values()
    value.requires_grad_()
    numerator, denominator = loss(value, gold)
    [gradient] = torch.autograd.grad(numerator / denominator, value)
    assert numerator.isfinite()
    assert (gradient[gold.isnan()] == 0).all()
    assert (gradient[gold.isfinite()] != 0).all()
    moved = torch.where(gold.isnan(), value.detach() + 100, value.detach())
    assert loss(moved, gold) == (numerator, denominator)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_dimension_without_any_gold_counts_for_nothing(loss: Loss) -> None:
    value, gold = _values()
    bare = torch.cat([gold, torch.full((9, 1), NAN, dtype=torch.float64)], dim=1)
    wide = torch.cat([value, value[:, :1]], dim=1).requires_grad_()
    found, expected = loss(wide, bare), loss(value, gold)
    for part in range(2):
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=1e-14)
    [gradient] = torch.autograd.grad(found[0], wide)
    assert (gradient[:, 2] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [0, 3])
def test_turns_without_any_gold_give_zero_over_zero_and_no_gradient(loss: Loss, n: int) -> None:
    value = torch.ones(n, 2, dtype=torch.float64, requires_grad=True)
    numerator, denominator = loss(value, torch.full((n, 2), NAN, dtype=torch.float64))
    numerator.backward()
    assert (float(numerator.detach()), float(denominator)) == (0.0, 0.0)
    assert value.grad is not None
    assert (value.grad == 0).all()


@pytest.mark.parametrize("value", [2.5, 3.0])
def test_one_turn_has_no_correlation_and_no_gradient(value: float) -> None:
    alone = torch.tensor([[value]], dtype=torch.float64, requires_grad=True)
    numerator, denominator = masked_ccc(alone, torch.tensor([[3.0]], dtype=torch.float64))
    numerator.backward()
    assert (float(numerator.detach()), float(denominator)) == (1.0, 1.0)
    assert alone.grad is not None
    assert float(alone.grad) == 0.0


@pytest.mark.parametrize("equal", [True, False])
def test_values_that_do_not_vary_have_a_finite_loss_and_gradient(equal: bool) -> None:
    value = torch.full((4, 1), 3.0, dtype=torch.float64, requires_grad=True)
    gold = torch.full((4, 1), 3.0 if equal else 4.0, dtype=torch.float64)
    numerator, denominator = masked_ccc(value, gold)
    numerator.backward()
    assert float(numerator.detach() / denominator) == 1.0
    assert value.grad is not None
    assert value.grad.isfinite().all()


@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_a_common_offset_does_not_change_ccc(offset: float) -> None:
    """In float32, sums of squares of such values would lose all their digits."""
    value, gold = ((values * 16).round() / 16 for values in _values(30, seed=5))  # exact in float32 beside the offset
    near, far = (masked_ccc((value + by).float(), (gold + by).float()) for by in (0.0, offset))
    torch.testing.assert_close(far[0] / far[1], near[0] / near[1], rtol=0, atol=2e-2 if abs(offset) > 1e5 else 2e-4)
    exact = masked_ccc(value + offset, gold + offset)
    torch.testing.assert_close(exact[0], masked_ccc(value, gold)[0], rtol=1e-9, atol=0)
