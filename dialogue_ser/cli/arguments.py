"""Flags from typed signatures (jsonargparse), with errors that name the nearest flag."""

import inspect
import re
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from dialogue_ser.errors import ConfigError

_SWITCHED = ("true", "false", "yes", "no", "on", "off")


def new_parser(prog: str, description: str) -> ArgumentParser:
    """A parser that raises instead of exiting, except after ``--help``."""
    # Abbreviated flags would slip past the search for --model.name and its like, and hide typos.
    return ArgumentParser(
        prog=prog, description=description, exit_on_error=False, default_env=False, allow_abbrev=False
    )


def parse(parser: ArgumentParser, tokens: Sequence[str]) -> Namespace:
    """Typed values of a command's tokens; a switch needs no value.

    Raises:
        ConfigError: a flag that does not exist (names the nearest), or a value of a wrong type.
    """
    try:
        return parser.parse_args(_with_switches(parser, tokens))
    except ArgumentError as error:
        raise ConfigError(_explain(parser, str(error))) from error


def call_with_arguments(function: Callable[..., Any], tokens: Sequence[str], prog: str) -> int | None:
    """Call a plain typed function with the values of its flags; parameters without default are positional.

    Returns:
        the function's own exit status, or None.

    Raises:
        ConfigError: as :func:`parse`.
    """
    parser = new_parser(prog, (function.__doc__ or "").split("\n", 1)[0])
    parser.add_function_arguments(function, as_positional=True, fail_untyped=True)
    values = parse(parser, underscored(tokens, get_type_hints(function)))
    status = function(**{key: values[key] for key in inspect.signature(function).parameters})
    return status if isinstance(status, int) else None


def underscored(tokens: Sequence[str], hints: Mapping[str, Any]) -> list[str]:
    """Tokens whose flags are spelt with underscores wherever they name a setting or an option.

    What the user names (a modality, a pattern, a key inside an option) and values stay as they are.

    Args:
        tokens: of a command.
        hints: name of each flag → its type; of a dataclass, its fields are flags too.

    >>> underscored(["--how-often", "well-done", "--own.my-key=a-b", "--options.max-size=3"],
    ...             {"how_often": str, "own": dict[str, str], "options": dict[str, int]})
    ['--how_often', 'well-done', '--own.my-key=a-b', '--options.max_size=3']
    """
    spelt = []
    for token in tokens:
        name, equals, value = token.partition("=")
        is_flag = name.startswith("--") and len(name) > 2
        spelt.append(f"--{_underscored(name[2:], hints)}{equals}{value}" if is_flag else token)
    return spelt


def _underscored(name: str, hints: Mapping[str, Any]) -> str:
    head, dot, rest = name.partition(".")
    field = head.replace("-", "_")
    if field not in hints:
        return name
    hint = hints[field]
    inner = [part for part in get_args(hint) if is_dataclass(part)]
    key, more_dot, more = rest.partition(".")
    if is_dataclass(hint):
        rest = _underscored(rest, get_type_hints(hint))
    elif field.endswith("options"):  # keyword parameters, which have no hyphens
        rest = f"{key.replace('-', '_')}{more_dot}{more}"
    elif inner:
        rest = f"{key}{more_dot}{_underscored(more, get_type_hints(inner[0]))}"
    return f"{field}{dot}{rest}"


def _with_switches(parser: ArgumentParser, tokens: Sequence[str]) -> list[str]:
    """Tokens in which a switch alone (``--yes``) is true; so is an option of unknown type that no value follows."""
    switches = {flag for action in parser._actions if _is_switch(action) for flag in action.option_strings}
    spelt: list[str] = []
    for index, token in enumerate(tokens):
        spelt.append(token)
        if not token.startswith("--") or "=" in token:
            continue
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        is_free = "options." in token and token not in flags(parser)
        if token in switches:
            is_alone = following is None or following.lower() not in _SWITCHED
        else:
            is_alone = is_free and (following is None or following.startswith("--"))
        if is_alone:
            spelt.append("true")
    return spelt


def _is_switch(action: Any) -> bool:
    hint = getattr(action, "_typehint", None)
    return hint is bool or set(get_args(hint)) == {bool, type(None)}


def flags(parser: ArgumentParser) -> list[str]:
    """Every ``--flag`` the parser knows."""
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _explain(parser: ArgumentParser, message: str) -> str:
    """An argparse message as what, where and how to mend."""
    help_hint = f"see '{parser.prog} --help'"
    bad_value = re.search(r'Parser key "([^"]+)":\s*Expected an? (.+)\. Got value: (.*)', message, re.DOTALL)
    of_several = r'Parser key "([^"]+)":.*Union subtypes.*?Errors:\s*(.*?)\s*Given value type: .*?Given value: (.*)'
    bad_value = bad_value or re.search(of_several, message, re.DOTALL)
    if bad_value is not None:
        return f"{parser.prog}: {_explain_value(parser, *bad_value.groups())}; {help_hint}"
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
    if unknown is None:
        return f"{parser.prog}: {_one_line(message)}; {help_hint}"
    token = unknown.group(1)
    if not token.startswith("--"):
        return f"{parser.prog}: unexpected argument {token!r}; {help_hint}"
    flag = token.split("=", 1)[0]
    near = get_close_matches(flag, flags(parser), n=1)
    hint = f" did you mean {near[0]}?" if near else f" {help_hint}"
    return f"{parser.prog}: unknown flag {flag};{hint}"


def _explain_value(parser: ArgumentParser, key: str, expected: str, value: str) -> str:
    """``--training.epochs: found 'x', expected a whole number``, with the nearest of several choices.

    Args:
        parser: knows the flags.
        key: which one.
        expected: a type as jsonargparse writes it, or a list of ``- Expected a …``.
        value: found.
    """
    name = f"--{key}" if f"--{key}" in flags(parser) else key
    found = _one_line(value)
    types = re.findall(r"- Expected an? (.+?)\s*$", expected, re.MULTILINE) or [expected]
    choices = [choice for kind in types if "Literal" in kind for choice in re.findall(r"'([^']+)'", kind)]
    near = get_close_matches(found, choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    kinds = {"<class 'int'>": "a whole number", "<class 'float'>": "a number", "<class 'bool'>": "true or false"}
    kinds |= {"<class 'tuple'>": "a list such as [a, b]", "<class 'dict'>": "a mapping such as {a: 1}"}
    named = [kinds.get(kind, _one_line(kind)) for kind in types if "NoneType" not in kind and "Literal" not in kind]
    wanted = " or ".join([f"one of {', '.join(choices)}"] * bool(choices) + named)
    return f"{name}: found {found!r}, expected {wanted}{hint}"


def _one_line(message: str) -> str:
    return re.sub(r"\s*\n\s*", " ", message).strip().rstrip(".")
