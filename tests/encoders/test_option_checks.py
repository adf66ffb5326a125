"""Wrong options of trained encoders are named together, each in one sentence."""

import pytest

from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.errors import ConfigError


def test_sizes_below_the_least_one_are_named_and_none_is_allowed() -> None:
    assert size_problems(3, size=2, depth=3, limit=None) == ["size 2 must be at least 3"]
    assert size_problems(size=1) == []


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_out_of_range_are_named(rate: float) -> None:
    assert rate_problems(dropout=rate, other=0.0) == [f"dropout {rate} must be at least 0 and below 1"]


def test_all_problems_are_raised_as_one_error_and_none_raises_nothing() -> None:
    raise_problems("vgg", [])
    with pytest.raises(ConfigError) as caught:
        raise_problems("vgg", ["channels 0 is wrong", "dropout 2 is wrong"])
    assert list(caught.value.problems) == ["vgg: channels 0 is wrong", "vgg: dropout 2 is wrong"]
