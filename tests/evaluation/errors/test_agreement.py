import numpy as np
import pytest

from dialogue_ser.evaluation.errors.agreement import (
    agreement,
    between_systems,
    gains_and_losses,
    label_agreement,
    right_turns,
    value_agreement,
)
from dialogue_ser.evaluation.errors.suite_turns import read_suite_turns
from dialogue_ser.evaluation.suite.contents import read_contents


@pytest.fixture
def data(folder):
    return read_suite_turns(read_contents(folder), "test")


def test_kappa_corrects_the_share_of_equal_labels_for_chance():
    # Both yes 20 times, both no 15 times, 5 and 10 times different: chance is 0.5 · 0.6 + 0.5 · 0.4 = 0.5.
    one, other = np.repeat([0, 0, 1, 1], [20, 5, 10, 15]), np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    found = label_agreement(np.stack([one, other]), 2)
    assert found["equal"][0, 1] == pytest.approx(0.7)
    assert found["kappa"][0, 1] == found["kappa"][1, 0] == pytest.approx(0.4)


def test_kappa_of_two_runs_that_always_say_the_same_is_not_defined():
    found = label_agreement(np.zeros((2, 5), dtype=np.int64), 2)
    assert found["equal"].tolist() == [[1, 1], [1, 1]]
    assert np.isnan(found["kappa"]).all()
    assert between_systems(found["kappa"], [0, 1]) == [[None, None], [None, None]]


def test_seeds_stand_on_the_diagonal_and_pairs_of_systems_beside_it(data):
    # On the seven labelled turns x1 is a b b b a b b, x2 a b a b a b b, y b b b b b b a.
    found = agreement(data)["equal"]
    assert found[0][0] == pytest.approx(6 / 7)
    assert found[0][1] == found[1][0] == pytest.approx((4 / 7 + 3 / 7) / 2)
    assert found[1][1] is None


def test_right_turns_are_counted_over_systems_and_classes(data):
    # x is right at the labelled turns 1 1 1 1 1 0 1, y at 0 1 1 1 0 0 0.
    found = right_turns(data)
    assert found["histogram"] == [1, 3, 3]
    assert found["oracle"] == pytest.approx(6 / 7)
    assert found["classes"]["a"] == {"n": 3, "all": 0, "some": 2, "none": 1}
    assert found["classes"]["b"] == {"n": 4, "all": 3, "some": 1, "none": 0}
    assert found["systems"]["x"] == {"right": pytest.approx(6 / 7), "alone": 3, "alone_wrong": 0}
    assert found["systems"]["y"] == {"right": pytest.approx(3 / 7), "alone": 0, "alone_wrong": 3}
    assert gains_and_losses(data) == {"x": {"reference": "y", "both": 3, "gained": 3, "lost": 0, "neither": 1}}


def test_values_agree_by_their_concordance():
    value = np.array([[[1.0], [2.0], [3.0]], [[2.0], [3.0], [4.0]]])
    found = value_agreement(value)["ccc"]
    assert found[0, 1] == found[1, 0] == pytest.approx(4 / 7)
    assert found[0, 0] == 1
