import math

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.parameters import name_clashes, parameter_of, read_parameter, read_parameters
from dialogue_ser.search_space.shapes import (
    SHAPES,
    Categorical,
    Constant,
    IntUniform,
    Nested,
    Normal,
    QUniform,
    Uniform,
    WeightedCategorical,
)


def problems_of(text: object) -> list[str]:
    found: list[str] = []
    result = read_parameter(text, ("p",), lambda place, problem: found.append(f"{'.'.join(place)}: {problem}"))
    assert (result is None) == bool(found)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"value": None}, Constant(value=None)),
        ({"value": [1, {"a": 2}], "distribution": "constant"}, Constant(value=[1, {"a": 2}])),
        ({"values": [1, None, "a"]}, Categorical(values=(1, None, "a"))),
        ({"values": [1], "distribution": "categorical"}, Categorical(values=(1,))),
        (
            {"values": [1, 2], "probabilities": [0.3, 0.7]},
            WeightedCategorical(values=(1, 2), probabilities=(0.3, 0.7)),
        ),
        ({"min": 1, "max": 4}, IntUniform(min=1, max=4)),
        ({"min": 1.0, "max": 4.0}, Uniform(min=1.0, max=4.0)),
        ({"min": 1, "max": 4, "distribution": "uniform"}, Uniform(min=1, max=4)),
        ({"min": 1, "max": 4.5, "distribution": "uniform"}, Uniform(min=1, max=4.5)),
        ({"distribution": "q_uniform", "min": 0, "max": 8}, QUniform(min=0, max=8, q=1)),
        ({"distribution": "normal"}, Normal(mu=0.0, sigma=1.0)),
        ({"distribution": "normal", "sigma": 0}, Normal(mu=0.0, sigma=0)),
        (
            {"parameters": {"a": {"parameters": {"b": {"value": 1}}}}},
            Nested(parameters={"a": Nested(parameters={"b": Constant(value=1)})}),
        ),
    ],
)
def test_the_keys_of_a_parameter_say_its_shape(text, expected):
    assert read_parameter(text, (), lambda *problem: pytest.fail(str(problem))) == expected


def test_every_distribution_can_be_written_out():
    ends = {"min": 1, "max": 3}
    for name in SHAPES:
        keys = {"value": 1} if name == "constant" else {"values": [1]} if name.startswith("cat") else {}
        keys |= ends if "uniform" in name else {}
        keys |= {"probabilities": [1]} if "probabilities" in name else {}
        assert parameter_of({"distribution": name, **keys}).distribution == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "p: found 3, expected a mapping such as {values: [16, 32]} or"),
        (3, "write {value: 3}"),
        ([1, 2], "write {values: [1, 2]}"),
        (None, "p: found None"),
        ({}, "p: found {}, expected a mapping"),
        ({"values": []}, "p.values: found []"),
        ({"values": "ab"}, "expected a list"),
        ({"valeus": [1]}, "unknown key 'valeus'; did you mean 'values'"),
        ({"value": 1, "values": [1]}, "p.values: constant: unknown key 'values'"),
        ({"min": 1}, "the key max is missing"),
        ({"min": 1, "max": 2, "q": 1}, "the key distribution is missing; add e.g. distribution: q_uniform"),
        ({"mu": 0}, "distribution: normal or log_normal"),
        ({"a": 1, "b": 2}, "distribution: beta"),
        ({"distribution": "uniform", "min": 1, "max": 2, "q": 1}, "distribution: q_uniform has it"),
        ({"distribution": "normal", "min": 1, "max": 2}, "p.min: normal: unknown key 'min'"),
        ({"distribution": "loguniform", "min": 1, "max": 2}, "unknown distribution 'loguniform'; did you mean"),
        ({"distribution": ["uniform"], "min": 1, "max": 2}, "unknown distribution"),
        ({"distribution": "categorical", "values": [1], "probabilities": [1]}, "categorical_w_probabilities"),
        ({"distribution": "categorical_w_probabilities", "values": [1]}, "the key probabilities is missing"),
        ({"min": 2, "max": 2}, "expected min < max"),
        ({"min": 2.0, "max": 1.0}, "expected min < max"),
        ({"min": 0.0, "max": 1}, "write 0.0 and 1.0, or add distribution: uniform"),
        ({"min": "1e-4", "max": 1.0}, "p.min: found '1e-4', which YAML reads as text, expected a number; write 1.0e-4"),
        ({"min": "0.1", "max": 1.0}, "remove the quotes"),
        ({"min": "low", "max": 1.0}, "p.min: found the text 'low', expected a number"),
        ({"min": True, "max": 3}, "p.min: found True, expected a number"),
        ({"min": 0.0, "max": math.inf}, "of at most 1e+15"),
        ({"min": math.nan, "max": 1.0}, "expected a number"),
        ({"min": 0, "max": 10**400}, "of at most 1e+15"),
        ({"min": None, "max": 1}, "p.min: found None, expected a number"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 1}, "whole numbers without a point"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "found min 0, expected a number above 0"),
        ({"distribution": "log_uniform", "min": 0, "max": 1000}, "log_uniform_values takes the numbers themselves"),
        ({"distribution": "log_normal", "mu": 800}, "too great a number"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "p.q: found 0, expected a number above 0"),
        ({"distribution": "beta", "a": 0}, "p.a: found 0, expected a number above 0"),
        ({"distribution": "normal", "sigma": -1}, "p.sigma: found -1, expected a number of at least 0"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "the sum is 1.1, expected 1"),
        ({"values": [1, 2], "probabilities": [1.0]}, "expected one probability for each of the 2 values"),
        ({"values": [1, 2], "probabilities": [1.5, -0.5]}, "p.probabilities.1: found -0.5, expected a probability"),
        ({"values": [1, 2], "probabilities": ["1e-1", 0.9]}, "p.probabilities.0: found '1e-1'"),
        ({"values": [math.inf]}, "p.values.0: found inf, which JSON does not have"),
        ({"values": [{"a": {1: 2}}]}, "p.values.0.a.1: found the key 1, expected text"),
        ({"value": b"x"}, "put it in quotes"),
        ({"lr": {"values": [1]}}, "parameters inside of a parameter (lr) stand below the word parameters"),
        ({"parameters": {"lr": {"values": [1]}}, "x": 1}, "has only the key parameters; move x into it"),
        ({"parameters": {}}, "p.parameters: found {}, expected at least one parameter"),
        ({"parameters": {"lr": 3}}, "p.parameters.lr: found 3"),
        ({"parameters": {"l r": {"value": 3}}}, "p.parameters.l r: found the name 'l r'"),
    ],
)
def test_a_mistake_says_where_it_is_and_how_to_mend_it(text, message):
    assert message in "\n".join(problems_of(text))


def test_all_mistakes_of_all_parameters_are_found():
    found: list = []
    text = {"a": {"min": "1e-4", "max": "1e-2"}, "1b": {"value": 1}, 2: {"value": 1}, "c": 3, "good": {"value": 1}}
    read = read_parameters(text, ("parameters",), lambda *problem: found.append(problem))
    assert set(read) == {"good"}
    places = [place[1:] for place, _ in found]
    assert places == [("a", "min"), ("a", "max"), ("1b",), ("2",), ("c",)]


def test_two_names_of_one_setting_are_found():
    names = {"a.b": {"value": 1}, "a": {"parameters": {"b": {"value": 2}, "c": {"value": 3}}}}
    read = read_parameters(names, (), lambda *problem: pytest.fail(str(problem)))
    assert name_clashes(read) == {("a", "b"): "a.b"}
    hyphen = read_parameters({"a_b": {"value": 1}, "a-b": {"value": 2}}, (), lambda *problem: pytest.fail(str(problem)))
    assert name_clashes(hyphen) == {("a-b",): "a_b"}


def test_a_suite_may_mix_ends_but_not_nest_parameters():
    assert parameter_of({"min": 0, "max": 0.5}) == Uniform(min=0, max=0.5)
    with pytest.raises(ConfigError, match="write the name of the setting with dots"):
        parameter_of({"parameters": {"a": {"value": 1}}})
    with pytest.raises(ConfigError) as caught:
        parameter_of({"min": "1e-4", "max": "1e-2"})
    assert len(caught.value.problems) == 2
