import numpy as np
import pytest

from dialogue_ser.evaluation.errors.dialogue_differences import differing_dialogues, gold_entries, turn_differences
from dialogue_ser.evaluation.errors.suite_turns import read_suite_turns
from dialogue_ser.evaluation.suite.contents import read_contents


@pytest.fixture
def data(folder):
    return read_suite_turns(read_contents(folder), "test")


def test_the_difference_of_a_turn_is_the_total_variation_of_the_mean_probabilities(data):
    # p of a: x 0.8 0.2 0.4 0.3 | 0.9 0.9 0.3 | 0.0; y 0.2 0.2 0.2 0.3 | 0.1 0.9 0.3 | 1.0
    np.testing.assert_allclose(turn_differences(data, data.systems), [0.6, 0, 0.2, 0, 0.8, 0, 0, 1.0], atol=1e-12)


def test_dialogues_are_in_the_order_of_their_mean_difference_and_short_ones_come_last(data):
    found = differing_dialogues(data, data.systems, top=2)
    assert found["systems"] == ["x", "y"]
    assert [one["dialogue"] for one in found["all"]] == ["d2", "d1", "d3"]
    assert [one["difference"] for one in found["all"]] == pytest.approx([0.8 / 3, 0.2, 1.0])
    assert [one["right"] for one in found["all"]] == [[1, 0], [4, 3], [1, 0]]
    assert [one["labelled"] for one in found["all"]] == [2, 4, 1]
    assert [one["dialogue"] for one in found["shown"]] == ["d2", "d1"]


def test_a_turn_has_its_text_gold_and_both_predictions(data):
    shown = {one["dialogue"]: one["lines"] for one in differing_dialogues(data, data.systems, top=3)["shown"]}
    third = shown["d1"][2]
    assert (third["speaker"], third["text"], third["gold"]) == ("Ann", "now three words", "b")
    x, y = third["predictions"]
    assert x["probabilities"] == pytest.approx({"a": 0.4, "b": 0.6})
    assert (x["label"], x["is_right"], x["seeds_right"], x["seeds"]) == ("b", True, 1, 2)
    assert (y["label"], y["is_right"], y["seeds_right"], y["seeds"]) == ("b", True, 1, 1)
    assert shown["d1"][3]["text"] is None
    unlabelled = shown["d2"][1]
    assert unlabelled["gold"] is None
    assert [one["is_right"] for one in unlabelled["predictions"]] == [None, None]


def test_values_differ_in_standard_deviations_of_gold(tmp_path, write_error_suite):
    turns = [("test", "d", "Ann", "x", None)] * 4
    gold = [(1, 0), (3, 0), (np.nan, 0), (1, 0)]  # deviation of the first: √(8/9) ≈ 0.943; the second does not vary
    x, y = [(1, 0)] * 4, [(2, 0), (1, 0), (1, 1), (1, 0)]
    folder = write_error_suite(tmp_path / "s", turns, {"x": {1: x}, "y": {1: y}}, ("v", "w"), gold_values=gold)
    data = read_suite_turns(read_contents(folder), "test")
    expected = np.array([1 / np.sqrt(8 / 9) / 2, 0, 0.5, 0])
    np.testing.assert_allclose(turn_differences(data, data.systems), expected)
    assert gold_entries(data.turns)[2] == {"v": None, "w": 0.0}
    found = differing_dialogues(data, data.systems, top=1)
    assert found["all"][0]["right"] is None
    assert found["shown"][0]["lines"][1]["predictions"][0] == {"values": {"v": 1.0, "w": 0.0}}
