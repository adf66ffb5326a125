"""What a sweep is to do: limits, seeds, options that do not fit, and what has changed since it began."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.sweep.plan import changes, name_of
from tests.evaluation.sweep.conftest import GRID, RANDOM


def test_the_smallest_limit_counts(make_plan):
    assert make_plan(GRID).limit == 6
    assert make_plan(GRID + "run_cap: 4\n", trials=5).limit == 4
    assert make_plan(RANDOM).limit == float("inf")
    assert any("Ctrl-C" in warning for warning in make_plan(RANDOM).warnings())


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (GRID, {"seeds": 2}, "--seeds sets the seeds"),
        (GRID, {"seeds": 0}, "--seeds 0: expected at least 1"),
        (GRID, {"trials": 0}, "--trials 0: expected at least 1"),
        (GRID.replace("[0.1, 0.2, 0.3]", "[0.1, -0.2]"), {}, "learning_rate"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_trained(make_plan, text, options, said):
    with pytest.raises(ConfigError, match=said):
        make_plan(text, **options).check()


def test_a_sweep_has_the_name_of_its_file_or_its_own(make_plan):
    assert make_plan(GRID, name="tuned").name == "tuned"
    assert make_plan(f"name: my sweep/2\n{GRID}").name == "my-sweep-2"
    with pytest.raises(ConfigError, match="with letters"):
        name_of(make_plan(f'name: "///"\n{GRID}').sweep)


def test_a_change_of_a_list_names_its_items():
    before, now = ({"file": {"command": ["train", one, "${args}"]}} for one in ("--a=1", "--a=2"))
    assert changes(before, now) == ['command: now without "--a=1" and with "--a=2"']
    assert changes({"file": {"a": [1, 2]}}, {"file": {"a": [2, 1]}}) == ["a: now in another order"]
    assert changes({"file": {"a": 1}}, {"file": {}}) == ["a: 1, now absent"]
