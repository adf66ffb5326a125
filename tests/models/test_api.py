"""Sizes and rates of model options must be in their ranges."""

from dataclasses import fields

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_all_sizes_and_rates_out_of_range_are_named_in_every_model(name: str) -> None:
    config = MODELS[name].Config
    bad = {"hidden_dim": 0, "projection": {"text": -3}, "dropout": 1.5, "input_dropout": -0.1, "recurrent_dropout": 1.0}
    given = {option: bad[option] for option in bad if option in {field.name for field in fields(config)}}
    with pytest.raises(ConfigError) as caught:
        config(**given)
    named = {
        "hidden_dim": "hidden_dim: found 0, expected at least 1",
        "projection": "projection.text: found -3, expected at least 1",
        "dropout": "dropout: found 1.5, expected at least 0 and below 1",
        "input_dropout": "input_dropout: found -0.1, expected at least 0 and below 1",
        "recurrent_dropout": "recurrent_dropout: found 1.0, expected at least 0 and below 1",
    }
    assert {"dropout"} <= set(given)
    assert sorted(caught.value.problems) == sorted(f"model {name}: model.options.{named[option]}" for option in given)


def test_a_dropout_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout: found nan"):
        MODELS["bigru"].Config(dropout=float("nan"))
