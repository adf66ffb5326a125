from itertools import islice, product

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.grid import grid_points, point_key, remaining, size
from dialogue_ser.search_space.parameters import read_parameters


def parameters(text: dict) -> dict:
    problems: list = []
    found = read_parameters(text, (), lambda *problem: problems.append(problem))
    assert problems == []
    return found


NESTED = {
    "z": {"values": ["x", "y"]},
    "a": {"parameters": {"d": {"min": 1, "max": 2}, "b": {"value": 7}, "c": {"values": [False, 0, None]}}},
}


def test_names_are_sorted_at_every_level_and_the_last_varies_fastest():
    points = list(grid_points(parameters(NESTED)))
    expected = [{"a": {"b": 7, "c": c, "d": d}, "z": z} for c, d, z in product([False, 0, None], [1, 2], ["x", "y"])]
    assert points == expected
    assert [type(point["a"]["c"]) for point in points] == [type(point["a"]["c"]) for point in expected]
    assert size(parameters(NESTED)) == len(points) == 12


def test_the_upper_end_of_q_uniform_is_left_out_and_that_of_whole_numbers_is_not():
    points = list(grid_points(parameters({"q": {"distribution": "q_uniform", "min": 0, "max": 6, "q": 3}})))
    assert points == [{"q": 0}, {"q": 3}]
    assert list(grid_points(parameters({"n": {"min": 0, "max": 3}})))[-1] == {"n": 3}


def test_a_grid_continues_where_it_stopped_and_repeats_nothing():
    space = parameters(NESTED)
    points = list(grid_points(space))
    done = [points[0], points[5], points[3]]
    left = list(remaining(space, done))
    keys_done = set(map(point_key, done))  # not the points themselves: False == 0
    assert list(map(point_key, left)) == [key for point in points if (key := point_key(point)) not in keys_done]
    assert list(remaining(space, [*done, *left])) == []
    assert list(remaining(space, reversed([*done, *left]))) == []


def test_values_that_count_as_equal_are_one_point():
    space = parameters({"a": {"values": [3.0, 3, "3", 3.5]}, "b": {"values": [{"x": 1, "y": 2}, {"x": 1}]}})
    points = list(grid_points(space))
    assert [(point["a"], point["b"]) for point in points] == list(
        product([3.0, "3", 3.5], [{"x": 1, "y": 2}, {"x": 1}])
    )
    assert next(remaining(space, [{"a": 3, "b": {"y": 2, "x": 1}}])) == {"a": 3.0, "b": {"x": 1}}


def test_further_names_and_keys_of_a_done_trial_have_no_effect():
    space = parameters({"a": {"values": [{"x": 1}, {"x": 2}]}, "n": {"values": [0, 1]}})
    done = {"a": {"x": 1.0, "added": "by the run"}, "n": 0, "seed": 5}
    assert list(islice(remaining(space, [done]), 1)) == [{"a": {"x": 1}, "n": 1}]
    assert len(list(remaining(space, [done, {"a": {"x": 1}}, {}]))) == 3  # without a value of n it is no point


@pytest.mark.parametrize(
    "pair", [(0, False), (1, True), (None, ""), (None, "null"), (0, ""), ("3", 3), ([], {}), (1, [1])]
)
def test_keys_tell_values_apart_that_python_or_text_would_not(pair):
    one, other = ({"a": value} for value in pair)
    assert point_key(one) != point_key(other)


def test_a_key_is_equal_for_equal_values():
    assert point_key({"a": 3.0, "b": {"d": [1.0], "c": None}}) == point_key({"b": {"c": None, "d": [1]}, "a": 3})
    assert point_key({"a": -0.0}) == point_key({"a": 0})
    assert point_key({"a": {1: 2}}) == point_key({"a": {"1": 2}})


def test_a_grid_of_what_is_not_finite_is_refused_and_a_huge_one_begins_at_once():
    with pytest.raises(ConfigError, match="a grid"):
        list(grid_points(parameters({"a": {"min": 0.0, "max": 1.0}})))
    huge = parameters({name: {"min": 1, "max": 1000} for name in "abcdefgh"})
    assert size(huge) == 10**24
    assert list(islice(grid_points(huge), 2)) == [dict.fromkeys("abcdefgh", 1), dict.fromkeys("abcdefg", 1) | {"h": 2}]
