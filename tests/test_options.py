"""One set of rules checks the options of readers, encoders, models and configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import ConfigError
from dialogue_ser.options import build, check_fields, construct, option_problems


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
    assert option_problems("reader mine", read, {"path": None, **options}) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"seed": "x"}, "a whole number"),
        ({"seed": True}, "a whole number"),
        ({"share": "half"}, "a number"),
        ({"stratify": "yes"}, "true or false"),
        ({"shares": [0.5]}, "a mapping to a number, e.g. {name: …}"),
        ({"shares": {"train": "x"}}, "a number"),
        ({"label_map": ["a"]}, "a mapping to a text, e.g. {name: …}"),
        ({"order": "ab"}, "a list such as [a, b]"),
        ({"order": ["a", True]}, "a text"),
        ({"mode": "c"}, "one of a, b"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_expected(options: dict[str, Any], expected: str) -> None:
    [(name, value)] = options.items()
    if name == "shares" and isinstance(value, dict):
        name, value = "shares.train", "x"
    if name == "order" and isinstance(value, list):
        name, value = "order[1]", True
    assert option_problems("reader mine", read, options, set_by_caller=["path"]) == [
        f"reader mine: option {name}: found {value!r}, expected {expected}"
    ]


def test_the_table_reader_refuses_options_of_a_wrong_type_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_corpus("table", tmp_path / "a.csv", columns="text", files=["a"], encoding=8, delimiter=3, seed="x")
    assert len(caught.value.problems) == 5


def test_unknown_missing_and_misfitting_options_are_told_in_one_go() -> None:
    assert option_problems("reader mine", read, {"sead": 1, "share": "x"}, also_allowed=["extra"]) == [
        "reader mine: unknown option 'sead'; did you mean 'seed'? Known: anything, columns, extra, label_map, mode, "
        "order, path, seed, share, shares, stratify",
        "reader mine: option path is required; known: path, seed, share, stratify, shares, label_map, order, mode, "
        "columns, anything, extra",
        "reader mine: option share: found 'x', expected a number",
    ]


def test_what_somebody_else_fills_is_no_option() -> None:
    assert option_problems("reader mine", read, {}, set_by_caller=["path"]) == []
    [problem] = option_problems("reader mine", read, {"path": "x"}, set_by_caller=["path"])
    assert problem.startswith("reader mine: unknown option 'path'")


def test_a_target_that_takes_anything_is_asked_for_what_it_names_only() -> None:
    def free(size: int = 1, **more: Any) -> None: ...

    assert option_problems("x", free, {"size": 2, "colour": "red"}) == []
    assert option_problems("x", free, {"size": "a", "colour": "red"}) == [
        "x: option size: found 'a', expected a whole number"
    ]


def test_annotations_that_mean_nothing_check_names_only() -> None:
    def odd(size: "Nowhere" = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert option_problems("x", odd, {"size": "a"}) == []
    assert option_problems("x", odd, {"sise": "a"}) == ["x: unknown option 'sise'; did you mean 'size'? Known: size"]


def test_what_a_constructor_stumbles_over_is_the_users_error_too() -> None:
    def untyped(size=1):  # type: ignore[no-untyped-def]
        return size + 1

    assert construct("x", untyped, {"size": 2}) == 3
    with pytest.raises(ConfigError, match=r"x: the options \{'size': 'a'\} do not fit \(.*\); correct them"):
        construct("x", untyped, {"size": "a"})


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    by_name: dict[str, Inner] = field(default_factory=dict)
    precision: Literal["no", "bf16"] = "bf16"
    size: int | str = 1


def test_a_dataclass_is_built_from_what_yaml_gives() -> None:
    values = {"inner": {"rate": "1e-3", "names": ["a", 1]}, "by_name": {3: {"rate": None}}, "precision": False}
    problems: list[str] = []
    built = build(Outer, values, "", problems)
    assert built == Outer(inner=Inner(rate=0.001, names=("a", "1")), by_name={"3": Inner()}, precision="no")
    assert problems == []


def test_every_problem_of_a_nested_mapping_is_told_with_its_place() -> None:
    values = {"inner": {"rate": "fast"}, "by_name": {"a": {"nams": []}, "b": 3}, "precision": "bf61", "size": [1]}
    problems: list[str] = []
    assert build(Outer, values, "run.", problems) is None
    assert problems == [
        "run.inner.rate: found 'fast', expected a number",
        "run.by_name.a.nams: unknown setting 'nams'; did you mean 'names'? Known: names, rate",
        "run.by_name.b: found 3, expected a mapping",
        "run.precision: found 'bf61', expected one of no, bf16; did you mean 'bf16'?",
        "run.size: found [1], expected a whole number or a text",
    ]


@dataclass
class Settings:
    """Like the Config of a system. The tests cannot use a real Config, because their import hook checks its types."""

    attention: Literal["simple", "matching"] = "simple"
    hidden_dim: int = 3
    dropout: float = 0.5
    causal: bool = False
    projection: dict[str, int] = field(default_factory=dict)


def test_choices_and_types_that_do_not_fit_are_all_named_with_the_nearest() -> None:
    settings = Settings(attention="mathing", hidden_dim=1.5, dropout=True, causal="no", projection={"a": "b"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        check_fields("model demo: model.options", settings)
    where = "model demo: model.options"
    assert caught.value.problems == (
        f"{where}.attention: found 'mathing', expected one of simple, matching; did you mean 'matching'?",
        f"{where}.hidden_dim: found 1.5, expected a whole number",
        f"{where}.dropout: found True, expected a number",
        f"{where}.causal: found 'no', expected true or false",
        f"{where}.projection.a: found 'b', expected a whole number",
    )
    with pytest.raises(ConfigError, match="projection: found 3, expected a mapping"):
        check_fields("model demo: model.options", Settings(projection=3))  # type: ignore[arg-type]


def test_whole_numbers_are_numbers() -> None:
    check_fields("model demo: model.options", Settings(dropout=0))


@dataclass
class Sizes:
    """Like the Config of a system."""

    hidden_dims: Sequence[int] = ()
    n_heads: int = 1
    units: dict[str, int] = field(default_factory=dict)
    input_dropout: float | None = None
    rank: int = 0


def test_ranges_follow_from_names_and_are_all_told() -> None:
    check_fields("model demo", Sizes(hidden_dims=[1], n_heads=1, units={"a": 1}, rank=-1))
    with pytest.raises(ConfigError) as caught:
        check_fields("model demo", Sizes(hidden_dims=[2, 0], n_heads=0, units={"a": -1}, input_dropout=1.0))
    assert caught.value.problems == (
        "model demo.hidden_dims[1]: found 0, expected at least 1",
        "model demo.n_heads: found 0, expected at least 1",
        "model demo.units.a: found -1, expected at least 1",
        "model demo.input_dropout: found 1.0, expected at least 0 and below 1",
    )


@dataclass(frozen=True)
class Numbers:
    whole: int = 1
    real: float = 1.0
    maybe: int | None = None
    many: tuple[float, ...] = ()
    named: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize("digits", [20, 400, 5000])
@pytest.mark.parametrize("name", ["whole", "real", "maybe", "many", "named"])
def test_a_number_of_hundreds_of_digits_is_one_short_problem(name: str, digits: int) -> None:
    huge: Any = 10**digits
    value = {"many": [huge], "named": {"a": -huge}}.get(name, huge)
    problems: list[str] = []
    assert build(Numbers, {name: value}, "", problems) is None
    (problem,) = problems
    assert problem.startswith(name)
    assert len(problem) < 200
    with pytest.raises(ConfigError):
        check_fields("here", Numbers(**{name: value}))


def test_thousands_of_unknown_settings_are_named_without_a_search_for_each(monkeypatch) -> None:
    searched = []
    monkeypatch.setattr("dialogue_ser.errors.get_close_matches", lambda name, *_, **__: searched.append(name) or [])
    problems: list[str] = []
    assert build(Inner, {f"k{number}": 1 for number in range(500)}, "", problems) is None
    assert len(problems) == 500
    assert len(searched) == 10
