import math

import numpy as np
import pytest
from scipy import stats

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.parameters import parameter_of
from dialogue_ser.search_space.shapes import GRID_DISTRIBUTIONS, SHAPES, Constant, Nested, leaves

N = 10_000
SHARES = np.random.default_rng(7).random(N)
#: All shapes with a density: what the file says, and the same distribution of scipy.
CONTINUOUS = {
    "uniform": ({"min": -2.0, "max": 3.0}, stats.uniform(-2, 5)),
    "log_uniform": ({"min": -3, "max": 2}, stats.loguniform(math.exp(-3), math.exp(2))),
    "log_uniform_values": ({"min": 1e-4, "max": 10}, stats.loguniform(1e-4, 10)),
    "inv_log_uniform": ({"min": -2, "max": 3}, stats.loguniform(math.exp(-3), math.exp(2))),
    "inv_log_uniform_values": ({"min": 0.01, "max": 5.0}, stats.loguniform(0.01, 5)),
    "normal": ({"mu": 3.0, "sigma": 0.5}, stats.norm(3, 0.5)),
    "log_normal": ({"mu": -1.0, "sigma": 0.7}, stats.lognorm(0.7, scale=math.exp(-1))),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
}
#: Those that are rounded, with q and the distribution before rounding.
ROUNDED = {
    "q_uniform": ({"min": 1, "max": 20}, stats.uniform(1, 19)),
    "q_log_uniform": ({"min": 0, "max": 4}, stats.loguniform(1, math.exp(4))),
    "q_log_uniform_values": ({"min": 1, "max": 60}, stats.loguniform(1, 60)),
    "q_normal": ({"mu": 5, "sigma": 4}, stats.norm(5, 4)),
    "q_log_normal": ({"mu": 1, "sigma": 1}, stats.lognorm(1, scale=math.e)),
    "q_beta": ({"a": 0.5, "b": 0.5}, stats.beta(0.5, 0.5)),
}


def drawn(text: dict) -> list:
    parameter = parameter_of(text)
    return [parameter.at(share) for share in SHARES.tolist()]


def distance(values: list, law) -> float:
    """Largest difference between the shares of values and a distribution function (Kolmogorov and Smirnov)."""
    ordered = np.sort(values)
    expected = law.cdf(ordered)
    return max(np.max(np.arange(1, N + 1) / N - expected), np.max(expected - np.arange(N) / N))


BOUND = 1.95 / math.sqrt(N)  # a correct distribution exceeds it once in a thousand times; the seed is fixed


def test_every_shape_is_tested_here():
    others = {"constant", "categorical", "categorical_w_probabilities", "int_uniform"}
    assert set(SHAPES) == {*CONTINUOUS, *ROUNDED, *others}
    assert len(SHAPES) + len(["nested"]) == 19


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_have_their_distribution(name):
    ends, law = CONTINUOUS[name]
    values = drawn({"distribution": name, **ends})
    assert {type(value) for value in values} == {float}
    low, high = law.support()
    assert low * (1 - 1e-12) - 1e-12 <= min(values) < max(values) <= high * (1 + 1e-12)
    assert distance(values, law) < BOUND


@pytest.mark.parametrize("q", [1, 3, 0.25])
@pytest.mark.parametrize("name", ROUNDED)
def test_rounded_numbers_are_the_multiples_of_q_next_to_numbers_of_the_distribution(name, q):
    settings, law = ROUNDED[name]
    values = drawn({"distribution": name, **settings, "q": q})
    assert {type(value) for value in values} == {type(q)}
    assert all(value == round(value / q) * q for value in values)
    steps, counts = np.unique(np.round(np.array(values) / q), return_counts=True)
    expected = law.cdf((steps + 0.5) * q) - law.cdf((steps - 0.5) * q)
    assert np.abs(np.cumsum(counts) / N - np.cumsum(expected)).max() < BOUND


def test_whole_numbers_have_equal_shares_and_both_ends():
    values = drawn({"min": -3, "max": 5})
    assert {type(value) for value in values} == {int}
    assert stats.chisquare(np.unique(values, return_counts=True)[1]).pvalue > 0.001
    assert sorted(set(values)) == list(range(-3, 6))


def test_values_of_a_list_have_equal_shares_or_their_probabilities():
    values = [None, False, 0, "", [1, 2], {"a": 1}]
    found = drawn({"values": values})
    counts = [sum(type(one) is type(value) and one == value for one in found) for value in values]
    assert sum(counts) == N
    assert stats.chisquare(counts).pvalue > 0.001
    weights = [0.5, 0.0, 0.2, 0.3]
    weighted = drawn({"values": ["a", "never", "b", "c"], "probabilities": weights})
    counts = [weighted.count(value) for value in ("a", "b", "c")]
    assert sum(counts) == N
    assert stats.chisquare(counts, [N * weight for weight in weights if weight]).pvalue > 0.001
    assert parameter_of({"values": ["never", "b"], "probabilities": [0, 1]}).at(0.0) == "b"
    assert parameter_of({"values": ["b", "never"], "probabilities": [1.0, 0.0]}).at(1 - 2**-53) == "b"


def test_probabilities_may_miss_one_by_rounding():
    parameter = parameter_of({"values": [1, 2, 3], "probabilities": [0.333333, 0.333333, 0.333333]})
    assert [parameter.at(share) for share in (0.0, 0.5, 1 - 2**-53)] == [1, 2, 3]


@pytest.mark.parametrize("name", [*CONTINUOUS, *ROUNDED])
def test_the_ends_of_the_shares_give_finite_numbers(name):
    settings, _ = (CONTINUOUS | ROUNDED)[name]
    parameter = parameter_of({"distribution": name, **settings})
    low, middle, high = (parameter.at(share) for share in (0.0, 0.5, 1 - 2**-53))
    assert -math.inf < low <= middle <= high < math.inf
    if "min" in settings and name.endswith("uniform_values"):
        assert (low, high) == pytest.approx((settings["min"], settings["max"]), abs=1)
        assert settings["min"] <= low


def test_a_constant_is_a_constant_and_nobody_changes_a_value_of_a_shape():
    parameter = parameter_of({"value": {"a": [1]}})
    parameter.at(0.3)["a"].append(2)
    assert parameter.at(0.9) == {"a": [1]}
    several = parameter_of({"values": [[1], [2]]})
    several.at(0.0).append(5)
    several.grid_values()[1].append(5)
    assert several.values == ([1], [2])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"value": None}, [None]),
        ({"values": [0, False, None, ""]}, [0, False, None, ""]),
        ({"min": 2, "max": 5}, [2, 3, 4, 5]),
        ({"distribution": "q_uniform", "min": 1, "max": 9, "q": 2}, [1, 3, 5, 7]),
        ({"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25}, [0.0, 0.25, 0.5, 0.75]),
        ({"distribution": "q_uniform", "min": 0.5, "max": 3}, [0.5, 1.5, 2.5]),
    ],
)
def test_a_grid_lists_the_values_of_finite_shapes(text, expected):
    parameter = parameter_of(text)
    values = parameter.grid_values()
    assert values == expected
    assert list(map(type, values)) == list(map(type, expected))
    assert parameter.n_grid_values() == len(expected)


def test_a_grid_refuses_what_it_cannot_list():
    assert set(GRID_DISTRIBUTIONS) == {"constant", "categorical", "int_uniform", "q_uniform"}
    for text in ({"min": 0.0, "max": 1.0}, {"values": [1, 2], "probabilities": [0.5, 0.5]}):
        with pytest.raises(ConfigError, match="a grid"):
            parameter_of(text).grid_values()
    many = parameter_of({"min": 0, "max": 10**12})
    assert many.n_grid_values() == 10**12 + 1
    with pytest.raises(ConfigError, match="at most 1,000,000"):
        many.grid_values()


def test_nested_parameters_have_paths_and_are_finite_if_all_inside_are():
    inner = {"lr": parameter_of({"values": [1, 2]}), "beta": parameter_of({"min": 0.0, "max": 1.0})}
    nested = Nested(parameters={"adam": Nested(parameters=inner)})
    assert list(leaves({"optimizer": nested, "x": Constant(value=1)})) == [
        ("optimizer", "adam", "lr"),
        ("optimizer", "adam", "beta"),
        ("x",),
    ]
    assert not nested.is_finite
    assert Nested(parameters={"lr": inner["lr"]}).is_finite
