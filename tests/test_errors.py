import inspect

import pytest

from dialogue_ser import errors
from dialogue_ser.errors import DialogueSerError, unknown_name

FAMILY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_of_the_family_and_a_value_error(kind):
    assert issubclass(kind, DialogueSerError)
    assert issubclass(kind, ValueError)


def test_every_problem_is_kept_and_has_its_line():
    error = DialogueSerError("row 3: no text", "row 9: no text")
    assert error.problems == ("row 3: no text", "row 9: no text")
    assert str(error).splitlines() == list(error.problems)


def test_a_near_name_is_suggested_and_a_far_one_is_not():
    assert "did you mean 'minilm'?" in unknown_name("encoder", "minlm", ["opensmile", "minilm"])
    assert "did you mean" not in unknown_name("encoder", "zzz", ["opensmile", "minilm"])


def test_known_names_are_listed_sorted():
    assert unknown_name("x", "q", ["b", "a"]).endswith("known: a, b")
