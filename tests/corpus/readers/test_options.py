"""Types of reader options."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.options import misfits
from dialogue_ser.errors import ConfigError


def read(
    path: str | Path | None,
    seed: int = 0,
    share: float = 0.5,
    stratify: bool = False,
    shares: Mapping[str, float] | None = None,
    label_map: Mapping[str, str | None] | None = None,
    order: Sequence[str] | None = None,
    mode: Literal["a", "b"] = "a",
    columns: Mapping[str, Any] | None = None,
    anything=None,  # type: ignore[no-untyped-def]
) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"path": "x"}, {"path": None}, {"seed": 3}, {"share": 1}, {"share": 0.1}, {"stratify": True},
        {"shares": {"train": 1}}, {"shares": None}, {"label_map": {"a": None, "b": 1}}, {"order": [1, "b"]},
        {"mode": "b"}, {"columns": {"dialogue": ["a", "b"]}}, {"anything": object()},
    ],
)  # fmt: skip
def test_what_a_configuration_file_may_say_fits(options: dict[str, Any]) -> None:
    assert misfits("reader mine", read, options) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"seed": "x"}, "a whole number"),
        ({"seed": True}, "a whole number"),
        ({"share": "half"}, "a number"),
        ({"stratify": "yes"}, "true or false"),
        ({"shares": [0.5]}, "a mapping to a number, e.g. {name: …}"),
        ({"shares": {"train": "x"}}, "a mapping to a number, e.g. {name: …}"),
        ({"label_map": ["a"]}, "a mapping to a text, e.g. {name: …}"),
        ({"order": "ab"}, "a list such as [a, b]"),
        ({"mode": "c"}, "one of a, b"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_expected(options: dict[str, Any], expected: str) -> None:
    [(name, value)] = options.items()
    assert misfits("reader mine", read, options) == [
        f"reader mine: option {name}: found {value!r}, expected {expected}"
    ]


def test_the_table_reader_refuses_options_of_a_wrong_type_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_corpus("table", tmp_path / "a.csv", columns="text", files=["a"], encoding=8, delimiter=3, seed="x")
    assert len(caught.value.problems) == 5
