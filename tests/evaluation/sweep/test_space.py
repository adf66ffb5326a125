"""All shapes as parameters of Optuna: what Optuna may choose are the values that the shape may have."""

import math

import pytest

from dialogue_ser.evaluation.sweep.space import choices_of, dimensions, flat_values, values_of
from dialogue_ser.search_space.draw import draw
from dialogue_ser.search_space.parameters import parameter_of
from dialogue_ser.search_space.shapes import SHAPES, Nested

ALL = {
    "constant": {"value": None},
    "categorical": {"values": [1, "a", None]},
    "categorical_w_probabilities": {"values": ["x", "y"], "probabilities": [0.25, 0.75]},
    "int_uniform": {"min": -2, "max": 3},
    "uniform": {"min": 0.5, "max": 2.0},
    "q_uniform": {"min": 0.0, "max": 1.0, "q": 0.25},
    "log_uniform": {"min": -3.0, "max": 0.0},
    "log_uniform_values": {"min": 0.001, "max": 1.0},
    "q_log_uniform": {"min": 0.0, "max": 4.0, "q": 2},
    "q_log_uniform_values": {"min": 1.0, "max": 64.0, "q": 8},
    "inv_log_uniform": {"min": 0.0, "max": 3.0},
    "inv_log_uniform_values": {"min": 0.001, "max": 1.0},
    "normal": {"mu": 2.0, "sigma": 0.5},
    "q_normal": {"mu": 0.0, "sigma": 3.0, "q": 2},
    "log_normal": {"mu": 0.0, "sigma": 1.0},
    "q_log_normal": {"mu": 1.0, "sigma": 1.0, "q": 0.5},
    "beta": {"a": 2.0, "b": 3.0},
    "q_beta": {"a": 1.0, "b": 1.0, "q": 0.1},
}


def parameter(name: str):
    return parameter_of({"distribution": name, **ALL[name]})


def test_every_shape_is_tried():
    assert set(ALL) == set(SHAPES)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"constant"}))
def test_what_optuna_would_have_chosen_gives_the_drawn_value_again(name):
    parameters = {"one": parameter(name)}
    for trial in range(20):
        values = draw(parameters, 7, trial)
        params, distributions = choices_of(parameters, values, 7, trial)
        assert distributions["one"]._contains(distributions["one"].to_internal_repr(params["one"]))
        again = values_of(parameters, params)["one"]
        assert type(again) is type(values["one"])
        assert again == (pytest.approx(values["one"]) if isinstance(again, float) else values["one"])


@pytest.mark.parametrize("name", sorted(set(ALL) - {"constant", "categorical"}))
def test_the_ends_of_the_distribution_are_values_of_the_shape(name):
    (one,) = dimensions({"one": parameter(name)}).values()
    low, high = one.value(one.distribution.low), one.value(one.distribution.high)
    drawn = [draw({"one": parameter(name)}, 1, trial)["one"] for trial in range(200)]
    if name != "categorical_w_probabilities":
        assert low <= min(drawn)
        assert max(drawn) <= high
        assert math.isfinite(high)


def test_a_constant_is_not_chosen_but_is_a_value():
    parameters = {"a": parameter("constant"), "b": Nested(parameters={"c": parameter("int_uniform")})}
    assert list(dimensions(parameters)) == ["b.c"]
    assert values_of(parameters, {"b.c": 3}) == {"a": None, "b": {"c": 3}}
    assert flat_values(parameters, {"a": None, "b": {"c": 3}}) == {"a": None, "b.c": 3}


@pytest.mark.parametrize("values", [[1, True, 1.5], [[1, 2], [3]], [{"a": 1}, None], [float("inf"), 2]])
def test_lists_and_mappings_are_chosen_by_their_index(values):
    parameters = {"one": SHAPES["categorical"](values=tuple(values))}
    (one,) = dimensions(parameters).values()
    if values[0] != float("inf"):
        assert one.distribution.choices == tuple(range(len(values)))
    for value in values:
        assert repr(one.value(one.choice(value, 0.5))) == repr(value)
