"""Dropout with cheap random numbers."""

import pytest
import torch

from dialogue_ser.nn.dropout import Dropout


@pytest.mark.parametrize("rate", [0.25, 0.4])
def test_dropout_keeps_its_share_and_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(120, 333, dtype=torch.float64)
    dropped = Dropout(rate)(x)
    assert set(dropped.unique().tolist()) == {0.0, 1 / (1 - rate)}
    assert float((dropped == 0).double().mean()) == pytest.approx(rate, abs=0.01)
    lag_correlation = torch.corrcoef(torch.stack([dropped.flatten()[:-1], dropped.flatten()[1:]]))[0, 1]
    assert abs(float(lag_correlation)) < 0.02, "the four values of one random number are independent"


def test_nothing_is_dropped_in_evaluation_or_at_rate_0() -> None:
    x = torch.ones(3, 5)
    assert Dropout(0.4).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_gradient_passes_where_a_value_is_kept(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 3, 7, dtype=dtype, requires_grad=True)
    dropped = Dropout(0.4)(x)
    dropped.sum().backward()
    assert dropped.dtype == dtype
    assert x.grad is not None
    torch.testing.assert_close(x.grad != 0, dropped != 0)
