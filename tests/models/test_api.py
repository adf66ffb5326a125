"""Ranges of options, by their names."""

from dataclasses import dataclass, field, fields
from typing import Literal

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.models import MODELS
from dialogue_ser.models.api import check_options


@pytest.mark.parametrize("name", MODELS)
def test_sizes_and_shares_out_of_range_are_all_named_in_every_model(name: str) -> None:
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


def test_a_share_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout: found nan"):
        MODELS["bigru"].Config(dropout=float("nan"))


@dataclass
class Options:
    """Like a system's Config, which the suite's import hook would check before us."""

    attention: Literal["simple", "matching"] = "simple"
    hidden_dim: int = 3
    dropout: float = 0.5
    causal: bool = False
    projection: dict[str, int] = field(default_factory=dict)


def test_choices_and_types_that_do_not_fit_are_all_named_with_the_nearest() -> None:
    options = Options(attention="mathing", hidden_dim=1.5, dropout=True, causal="no", projection={"a": "b"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        check_options("demo", options)
    where = "model demo: model.options"
    assert caught.value.problems == (
        f"{where}.attention: unknown choice 'mathing'; did you mean 'matching'? Known: matching, simple",
        f"{where}.hidden_dim: found 1.5, expected a whole number",
        f"{where}.dropout: found True, expected a number",
        f"{where}.causal: found 'no', expected true or false",
        f"{where}.projection.a: found 'b', expected a whole number",
    )
    with pytest.raises(ConfigError, match="projection: found 3, expected a mapping"):
        check_options("demo", Options(projection=3))  # type: ignore[arg-type]


def test_whole_numbers_are_numbers() -> None:
    check_options("demo", Options(dropout=0))
