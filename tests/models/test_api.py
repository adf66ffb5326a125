"""Ranges of options, by their names."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_sizes_and_shares_out_of_range_are_all_named_in_every_model(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MODELS[name].Config(hidden_dim=0, dropout=1.5, input_dropout=-0.1, projection={"text": -3})
    assert caught.value.problems == (
        f"model {name}: model.options.hidden_dim: found 0, expected at least 1",
        f"model {name}: model.options.projection.text: found -3, expected at least 1",
        f"model {name}: model.options.dropout: found 1.5, expected at least 0 and below 1",
        f"model {name}: model.options.input_dropout: found -0.1, expected at least 0 and below 1",
    )


def test_a_share_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout: found nan"):
        MODELS["bigru"].Config(dropout=float("nan"))
