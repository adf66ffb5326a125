from dataclasses import dataclass
from typing import Any, Literal

import pytest

from dialogue_ser.cli.arguments import _nearest_flag, call_with_arguments, flags, new_parser, parse
from dialogue_ser.errors import ConfigError


def command(name: str, size: int = 3, kind: Literal["red", "green"] = "red", options: dict[str, str] | None = None):
    """Do something.

    Args:
        name: of the thing.
        size: in metres.
        kind: which.
        options: more.
    """
    command.got = (name, size, kind, options)
    return 7 if size == 7 else None


def call(*tokens):
    return call_with_arguments(command, tokens, prog="prog")


def test_parameters_without_default_are_positional_and_others_are_typed_flags():
    assert call("x", "--size", "5", "--kind=green") is None
    assert command.got == ("x", 5, "green", None)


def test_a_mapping_takes_one_dotted_flag_per_key():
    call("x", "--options.a", "1", "--options.b=two")
    assert command.got[3] == {"a": "1", "b": "two"}


def test_the_functions_exit_status_is_passed_on():
    assert call("x", "--size=7") == 7


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["x", "--sise", "3"], r"prog: unknown flag --sise; did you mean --size\?"),
        (["x", "--sise=3"], r"prog: unknown flag --sise; did you mean --size\?"),
        (["x", "--size", "big"], "--size: found 'big', expected a whole number; see 'prog --help'"),
        (["x", "--kind=gren"], r"--kind: found 'gren', expected one of red, green; did you mean 'green'\?"),
        (["x", "y"], "unexpected argument 'y'"),
        ([], "name"),
        (["x", "--size"], "--size"),
    ],
)
def test_a_wrong_token_is_explained(tokens, message):
    with pytest.raises(ConfigError, match=message) as caught:
        call(*tokens)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--share=x", "--share: found 'x', expected a number;"),
        ("--mode=greem", r"--mode: found 'greem', expected one of red, green; did you mean 'green'\?$"),
        ("--options=[1]", r"--options: found '\[1\]', expected a mapping such as \{a: 1\};"),
        ("--either=x", "--either: found 'x', expected a whole number or true or false;"),
    ],
)
def test_a_wrong_value_of_an_optional_flag_is_explained(flag, message):
    def act(
        share: float | None = None,
        mode: Literal["red", "green"] | None = None,
        options: dict[str, Any] | None = None,
        either: int | bool | None = None,
    ) -> None:
        """Act."""

    with pytest.raises(ConfigError, match=message) as caught:
        call_with_arguments(act, [flag], prog="prog")
    assert "Union" not in str(caught.value)


def test_help_shows_the_docstring(capsys):
    with pytest.raises(SystemExit) as caught:
        call("--help")
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert "Do something." in out
    assert "in metres." in out


def test_flags_lists_long_options():
    parser = new_parser("prog", "")
    parser.add_argument("--a.b", type=int)
    assert {"--a.b", "--help"} <= set(flags(parser))


def test_an_abbreviated_flag_is_a_typo_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"unknown flag --siz; did you mean --size\?"):
        call("x", "--siz", "5")


def test_a_switch_needs_no_value_and_flags_accept_hyphens(capsys):
    def act(name: str, really_do: bool = False, how_often: int = 1) -> None:
        """Act."""
        print(name, really_do, how_often)

    for tokens in (["x", "--really-do", "--how-often", "2"], ["--really_do=true", "--how_often=2", "x"]):
        call_with_arguments(act, tokens, prog="prog")
        assert capsys.readouterr().out == "x True 2\n"
    for no in ("false", "no"):
        call_with_arguments(act, ["x", "--really-do", no], prog="prog")
        assert capsys.readouterr().out == "x False 1\n"


def test_hyphens_become_underscores_in_options_but_not_in_keys_and_values(capsys):
    def act(options: dict[str, Any] | None = None, names: dict[str, str] | None = None) -> None:
        """Act."""
        print(options, names)

    tokens = ["--options.batch-size=3", "--options.map.my-key", "x-y", "--names.my-name", "--options.deep-one"]
    with pytest.raises(ConfigError):  # an option of type str needs a value
        call_with_arguments(act, tokens, prog="prog")
    tokens.insert(4, "a-b")
    call_with_arguments(act, tokens, prog="prog")
    assert capsys.readouterr().out == (
        "{'batch_size': 3, 'map': {'my-key': 'x-y'}, 'deep_one': True} {'my-name': 'a-b'}\n"
    )


@dataclass(frozen=True)
class Size:
    width: int = 1
    height: int = 1


def parse_size(*tokens):
    parser = new_parser("demo", "")
    parser.add_class_arguments(Size, "size")
    return parse(parser, tokens)["size"].as_dict()


@pytest.mark.parametrize("tokens", [["--size", "{height: 4}"], ['--size={"height": 4}']])
def test_a_group_of_flags_takes_a_mapping_and_keeps_the_values_it_does_not_name(tokens):
    assert parse_size("--size.width=2", *tokens) == {"width": 2, "height": 4}


@pytest.mark.parametrize("tokens", [["--size", "size.yaml"], ["--size=3"], ["--size"], ["--size", "--size.width=2"]])
def test_a_group_of_flags_takes_no_file_and_no_single_value(tokens):
    with pytest.raises(ConfigError, match=r"--size is a group of flags and takes only a mapping.*--size\.height"):
        parse_size(*tokens)


@pytest.mark.parametrize(
    ("flag", "known", "meant"),
    [
        ("--columns.text", ["--data", "--data.path", "--data.options"], "--data.options.columns.text"),
        ("--data.options.columns.text", ["--columns", "--options"], "--columns.text"),
        ("--data.path", ["--path"], "--path"),
        ("--training.epoch", ["--data.options", "--training.epochs"], "--training.epochs"),
    ],
)
def test_a_flag_as_another_command_has_it_gets_the_flag_of_this_one(flag, known, meant):
    assert _nearest_flag(flag, known) == [meant]
