"""A plain function as an encoder; see also test_registry.py."""

import pytest

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.functions import FunctionEncoder


def test_a_function_that_fails_is_named_with_its_error_and_line(dialogue) -> None:
    def look_up(texts: list[str]) -> list[list[float]]:
        raise KeyError("no such word")

    encoder = FunctionEncoder(look_up, "own", "text", "text", {})
    with pytest.raises(FeatureError, match=r"'own': your function failed: KeyError.*\(.*test_functions\.py:\d+\)"):
        encoder.encode([dialogue(["hi"])])
