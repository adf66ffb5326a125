import math

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.draws import Tuning, parameter_of


def drawn(text: object, name: str = "x", n: int = 400) -> list:
    parameter, tuning = parameter_of(text), Tuning(trials=8, seed=3)
    return [tuning.draw(name, parameter, trial) for trial in range(1, n + 1)]


def test_values_are_drawn_alike_and_may_be_anything():
    found = drawn({"values": [[1], "a", None]})
    assert {str(one) for one in found} == {"[1]", "a", "None"}
    assert min(found.count([1]), found.count("a"), found.count(None)) > 100


def test_a_span_has_its_distribution():
    uniform = drawn({"min": 0.1, "max": 0.5})
    assert 0.1 <= min(uniform) < 0.11 < 0.49 < max(uniform) < 0.5
    assert np.mean(uniform) == pytest.approx(0.3, abs=0.02)
    whole = drawn({"min": 1, "max": 3})
    assert {type(one) for one in whole} == {int}
    assert set(whole) == {1, 2, 3}
    logarithms = np.log10(drawn({"distribution": "log_uniform_values", "min": 1e-4, "max": 1}))
    assert (round(min(logarithms)), round(max(logarithms))) == (-4, 0)
    assert np.mean(logarithms) == pytest.approx(-2, abs=0.15)
    assert set(map(type, drawn({"distribution": "uniform", "min": 1, "max": 3}))) == {float}


def test_a_draw_depends_on_seed_trial_and_name_only():
    assert drawn({"min": 0.0, "max": 1.0}, n=5) == drawn({"min": 0.0, "max": 1.0}, n=5)
    assert drawn({"min": 0.0, "max": 1.0}, n=5) != drawn({"min": 0.0, "max": 1.0}, "y", n=5)
    one = Tuning(trials=2, seed=1).draw("x", parameter_of({"min": 0.0, "max": 1.0}), 1)
    assert one != Tuning(trials=2, seed=2).draw("x", parameter_of({"min": 0.0, "max": 1.0}), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([1, 2], "expected a mapping such as"),
        ({"values": []}, "values: found []"),
        ({"values": "ab"}, "expected a list"),
        ({"value": 1}, "expected a mapping such as"),
        ({"min": 1}, "expected a mapping such as"),
        ({"min": 1, "max": 2, "q": 1}, "expected a mapping such as"),
        ({"min": 2, "max": 2}, "min < max"),
        ({"min": 2.0, "max": 1.0}, "min < max"),
        ({"min": "1e-4", "max": 1}, "found min '1e-4'"),
        ({"min": True, "max": 3}, "expected numbers"),
        ({"min": 0.0, "max": math.inf}, "of at most 1e+15"),
        ({"min": math.nan, "max": 1.0}, "expected numbers"),
        ({"min": 0, "max": 10**400}, "of at most 1e+15"),
        ({"min": 0, "max": 1, "distribution": "log_uniform_values"}, "found min 0, expected a number above 0"),
        ({"min": 0.5, "max": 1, "distribution": "int_uniform"}, "expected whole numbers"),
        ({"min": 0, "max": 1, "distribution": "log_uniform"}, "unknown distribution 'log_uniform'"),
    ],
)
def test_a_parameter_that_cannot_be_drawn_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parameter_of(text)
    assert message in str(caught.value)
