import math

import numpy as np
import pytest

from dialogue_ser.search_space.hyperband import Hyperband


def test_bands_grow_from_min_iter_or_shrink_from_max_iter():
    assert Hyperband(min_iter=2, eta=3).bands[:4] == (2, 6, 18, 54)
    assert len(Hyperband(min_iter=2, eta=3).bands) == 100
    assert Hyperband(max_iter=27, s=2, eta=3).bands == (3, 9)
    assert Hyperband(max_iter=27, s=9, eta=3).bands == (1, 3, 9)  # a band below 1 is none
    assert Hyperband(max_iter=25, s=2, eta=2.5).bands == (4, 10)
    assert Hyperband(min_iter=1, eta=1.5).bands[:5] == (1, 1, 2, 3, 5)
    assert Hyperband(max_iter=2, s=3, eta=3).bands == ()
    assert max(Hyperband(min_iter=1, eta=1e9).bands) < 1e18


RULE = Hyperband(min_iter=1, eta=2)  # bands 1, 2, 4, 8, …
OTHERS = [[9, 5], [9, 4, 4], [9, 3, 3, 3], [9, 2]]


@pytest.mark.parametrize(
    ("own", "stops"),
    [
        ([], False),
        ([99], False),  # one value: row 1 does not exist yet
        ([9, 4.5], True),  # at row 1 the values are 2 3 4 4.5 5; the threshold is the third one
        ([9, 4], False),  # equal to the threshold
        ([9, 3.5], False),
        ([1, 4.5], True),  # the rule is strict: the good first value does not count
        ([9, 1, 3.5], False),  # row 2, of band 2: 3 3.5 4; the threshold is the second one
        ([9, 1, 5], True),
    ],
)
def test_a_trial_stops_if_its_value_at_the_greatest_band_is_beyond_the_threshold(own, stops):
    assert RULE.should_stop(own, OTHERS, "minimize") is stops


def test_the_row_at_the_band_counts_and_not_the_last_row():
    assert RULE.should_stop([9, 9, 9, 0], [[9, 9, 1], [9, 9, 1]], "minimize")  # row 2, although row 3 is good
    assert not RULE.should_stop([9, 9, 1, 9], [[9, 9, 1], [9, 9, 2]], "minimize")


def test_without_strict_the_best_value_so_far_counts():
    lenient = Hyperband(min_iter=1, eta=2, strict=False)
    others = [[9, 1], [9, 2], [9, 3]]
    assert RULE.should_stop([0.5, 8], others, "minimize")
    assert not lenient.should_stop([0.5, 8], others, "minimize")
    assert not lenient.should_stop([9, 8, 7, 0], [[1, 1, 1, 1]] * 3, "minimize")  # also a value after the band
    assert lenient.should_stop([9, 8], others, "minimize")


def test_maximize_is_the_mirror_image():
    for own in ([9, 4.5], [9, 4], [1, 4.5]):
        mirrored = [[-value for value in other] for other in OTHERS]
        assert RULE.should_stop([-value for value in own], mirrored, "maximize") == RULE.should_stop(
            own, OTHERS, "minimize"
        )


def test_the_threshold_counts_all_trials_and_their_number_divided_by_eta():
    rule = Hyperband(min_iter=1, eta=3)
    others = [[0, value] for value in (1, 2, 3, 4, 5)]
    assert not rule.should_stop([0, 2.5], others, "minimize")  # 1 2 2.5 …: six trials, the third value is 2.5
    assert rule.should_stop([0, 3.5], others, "minimize")
    assert not rule.should_stop([0, 99], [], "minimize")  # alone, it is the threshold itself
    assert not rule.should_stop([0, 99], [[5]], "minimize")  # no other trial has come so far
    assert not rule.should_stop([0, 1.0], [[0, 1.0]] * 5, "minimize")  # ties
    assert rule.should_stop([0, 1.1], [[0, 1.0]] * 5, "minimize")


def test_values_that_are_no_finite_numbers_are_no_rows():
    broken = [math.nan, 9, True, None, math.inf, "x", 4.5]
    assert RULE.should_stop(broken, OTHERS, "minimize") == RULE.should_stop([9, 4.5], OTHERS, "minimize") is True
    assert not RULE.should_stop([math.nan] * 5, OTHERS, "minimize")
    assert not RULE.should_stop([9, 5], [[math.nan, 9, math.nan, 6], [], [math.inf] * 9], "minimize")
    assert RULE.should_stop([np.float32(9), np.float64(4.5)], OTHERS, "minimize")


def test_strict_is_the_default():
    assert Hyperband(min_iter=1).strict is True
    assert Hyperband(min_iter=1).eta == 3
