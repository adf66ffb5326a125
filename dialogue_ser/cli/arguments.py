"""Command-line flags made from typed signatures by jsonargparse, and errors that suggest the nearest flag."""

import inspect
import re
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any, get_args, get_type_hints

import yaml
from jsonargparse import SUPPRESS, ArgumentParser, Namespace

from dialogue_ser.errors import ConfigError, DialogueSerError, shown_value
from dialogue_ser.foreign_text.yaml_text import YamlError, check_size

_SWITCH_VALUES = ("true", "false", "yes", "no", "on", "off")
# Options of the reader table. Each command has them below another name: --options, --data.options or none.
_OPTIONS_OF_TABLES = ("columns", "label_map", "audio_root", "encoding", "delimiter", "quoting", "sheet")


def new_parser(prog: str, description: str) -> ArgumentParser:
    """Return a parser that raises an error where argparse would exit; only ``--help`` exits."""
    # Abbreviated flags would hide typos, and the search for flags such as --model.name would not find them.
    return ArgumentParser(
        prog=prog, description=description, exit_on_error=False, default_env=False, allow_abbrev=False
    )


def parse(parser: ArgumentParser, tokens: Sequence[str]) -> Namespace:
    """Return the typed values of a command's flags. A switch such as ``--yes`` needs no value.

    Raises:
        ConfigError: a flag does not exist (the error suggests the nearest one), or a value has a wrong type.
    """
    _refuse_groups(parser, tokens)
    _refuse_unreadable(parser, tokens)
    try:
        return parser.parse_args(_complete_switches(parser, tokens))
    except ArgumentError as error:
        raise ConfigError(_explain(parser, str(error))) from error
    except DialogueSerError:
        raise
    except (OverflowError, RecursionError, ValueError, TypeError, KeyError) as error:
        # jsonargparse has these for a number of hundreds of digits or a value with hundreds of brackets
        problem = _one_line(str(error)) or type(error).__name__
        raise ConfigError(f"{parser.prog}: a value of a flag cannot be read ({problem}); correct it") from error


def _refuse_groups(parser: ArgumentParser, tokens: Sequence[str]) -> None:
    """Refuse a file as the value of a group of flags, e.g. ``--data``. Hide the group in the help.

    A mapping such as ``--data.cut '{fold: a}'`` is a value: its keys are flags of the group.
    """
    given = _values_of_flags(tokens)
    for action in parser._actions:
        for group in action.option_strings:
            members = [flag for flag in flags(parser) if flag.startswith(f"{group}.")]
            if not members:
                continue
            action.help = SUPPRESS
            if any(flag == group and not value.lstrip().startswith("{") for flag, value in given):
                raise ConfigError(
                    f"{parser.prog}: {group} is a group of flags and takes only a mapping, e.g. {group} "
                    f"'{{{members[0].removeprefix(group + '.')}: VALUE}}'; or use one of {', '.join(members)}"
                )


def _values_of_flags(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """Return (flag, value) of every flag, written as ``--flag value`` or ``--flag=value``; no value is ""."""
    found = []
    for token, following in zip_longest(tokens, tokens[1:], fillvalue=""):
        flag, equals, value = token.partition("=")
        if flag.startswith("--"):
            found.append((flag, value if equals else following))
    return found


def _refuse_unreadable(parser: ArgumentParser, tokens: Sequence[str]) -> None:
    """Refuse values that take jsonargparse many seconds, or that no setting can hold."""
    flag = ""
    for token in tokens:
        head, equals, value = token.partition("=")
        flag, value = (head, value) if equals and token.startswith("--") else (flag, token)
        problem = ""
        if re.fullmatch(r"[-+]?\d{100,}", value):
            problem = "a number of fewer digits"
        elif "[" in value or "{" in value:
            try:
                check_size(value)
            except YamlError as error:
                problem = f"a simpler value; this one {error}"
            except yaml.YAMLError:  # it is a plain text
                continue
        if problem:
            raise ConfigError(f"{parser.prog}: {flag or 'argument'}: found {shown_value(value)}, expected {problem}")
        flag = token


def call_with_arguments(function: Callable[..., Any], tokens: Sequence[str], prog: str) -> int | None:
    """Call a typed function with the values of its flags. Parameters without a default are positional.

    The help begins with the text of the function's docstring up to "Args:".

    Returns:
        the exit status that the function returns, or None.

    Raises:
        ConfigError: see :func:`parse`.
    """
    introduction = re.split(r"\n\n(?:Args|Returns|Raises):", inspect.cleandoc(function.__doc__ or ""))[0]
    parser = new_parser(prog, introduction)
    parser.add_function_arguments(function, as_group=False, as_positional=True, fail_untyped=True)
    hints = get_type_hints(function)
    values = parse(parser, underscore_flags(tokens, hints))
    status = function(**{key: _as_hinted(hints[key], values[key]) for key in inspect.signature(function).parameters})
    return status if isinstance(status, int) else None


def _as_hinted(hint: Any, value: Any) -> Any:
    """Return the value of a flag. The values of a group of flags become the dataclass that describes the group."""
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Namespace):
        return hint(**value.as_dict())
    return value


def underscore_flags(tokens: Sequence[str], hints: Mapping[str, Any]) -> list[str]:
    """Write the hyphens in the names of settings and options as underscores, e.g. ``--on-bad`` as ``--on_bad``.

    Names that the user chooses (a modality, a pattern, a key inside an option) and values are not changed.

    Args:
        tokens: the tokens of a command.
        hints: name of each flag → its type. If the type is a dataclass, its fields are flags too.

    >>> underscore_flags(["--how-often", "well-done", "--own.my-key=a-b", "--options.max-size=3"],
    ...                  {"how_often": str, "own": dict[str, str], "options": dict[str, int]})
    ['--how_often', 'well-done', '--own.my-key=a-b', '--options.max_size=3']
    """
    written = []
    for token in tokens:
        name, equals, value = token.partition("=")
        is_flag = name.startswith("--") and len(name) > 2
        written.append(f"--{_underscore_name(name[2:], hints)}{equals}{value}" if is_flag else token)
    return written


def _underscore_name(name: str, hints: Mapping[str, Any]) -> str:
    head, dot, rest = name.partition(".")
    field = head.replace("-", "_")
    if field not in hints:
        return name
    hint = hints[field]
    inner = [part for part in get_args(hint) if is_dataclass(part)]
    key, more_dot, more = rest.partition(".")
    if is_dataclass(hint):
        rest = _underscore_name(rest, get_type_hints(hint))
    elif field.endswith("options"):  # keyword parameters, whose names never have hyphens
        rest = f"{key.replace('-', '_')}{more_dot}{more}"
    elif inner:
        rest = f"{key}{more_dot}{_underscore_name(more, get_type_hints(inner[0]))}"
    return f"{field}{dot}{rest}"


def _complete_switches(parser: ArgumentParser, tokens: Sequence[str]) -> list[str]:
    """Add the value "true" after every switch (``--yes``) and every option of unknown type that has no value."""
    switches = {flag for action in parser._actions if _is_switch(action) for flag in action.option_strings}
    completed: list[str] = []
    for index, token in enumerate(tokens):
        completed.append(token)
        if not token.startswith("--") or "=" in token:
            continue
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        has_unknown_type = "options." in token and token not in flags(parser)
        if token in switches:
            lacks_value = following is None or following.lower() not in _SWITCH_VALUES
        else:
            lacks_value = has_unknown_type and (following is None or following.startswith("--"))
        if lacks_value:
            completed.append("true")
    return completed


def _is_switch(action: Any) -> bool:
    hint = getattr(action, "_typehint", None)
    return hint is bool or set(get_args(hint)) == {bool, type(None)}


def flags(parser: ArgumentParser) -> list[str]:
    """Return every ``--flag`` that the parser knows."""
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _explain(parser: ArgumentParser, message: str) -> str:
    """Rewrite an argparse message: say what is wrong, where, and how to correct it."""
    help_hint = f"see '{parser.prog} --help'"
    bad_value = re.search(r'Parser key "([^"]+)":\s*Expected an? (.+)\. Got value: (.*)', message, re.DOTALL)
    bad_value_of_union = (
        r'Parser key "([^"]+)":.*Union subtypes.*?Errors:\s*(.*?)\s*Given value type: .*?Given value: (.*)'
    )
    bad_value = bad_value or re.search(bad_value_of_union, message, re.DOTALL)
    if bad_value is not None:
        explanation = _explain_value(parser, *bad_value.groups())
        return f"{parser.prog}: {explanation}" + ("" if explanation.endswith("?") else f"; {help_hint}")
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
    if unknown is None:
        message = re.sub(r"argument (\S+): expected one argument", r"\1: a value is missing after this flag", message)
        return f"{parser.prog}: {_one_line(message)}; {help_hint}"
    token = unknown.group(1)
    if not token.startswith("--"):
        path_flags = [flag for flag in flags(parser) if flag in ("--path", "--data.path")]
        advice = f"name a file of data with {path_flags[0]} {token}; " if path_flags else ""
        return f"{parser.prog}: unexpected argument {token!r}; {advice}{help_hint}"
    flag = token.split("=", 1)[0]
    near = _nearest_flag(flag, flags(parser))
    hint = f" did you mean {near[0]}?" if near else f" {help_hint}"
    return f"{parser.prog}: unknown flag {flag};{hint}"


def _nearest_flag(flag: str, known: Sequence[str]) -> list[str]:
    """Return the flag that is probably meant, in a list; [] = none is similar.

    A flag may be written without its section, or as another command has it: some have the section ``data.``.

    >>> _nearest_flag("--epochs", ["--training.epochs"]), _nearest_flag("--encoding", ["--options"])
    (['--training.epochs'], ['--options.encoding'])
    >>> _nearest_flag("--data.options.encoding", ["--options"]), _nearest_flag("--sed", ["--seed", "--out"])
    (['--options.encoding'], ['--seed'])
    """
    name = flag.removeprefix("--")
    ends = [one for one in known if one.endswith(f".{name}")]
    if len(ends) == 1:
        return ends
    others = [name.removeprefix("data.options."), name.removeprefix("data."), f"data.{name}"]
    if name.partition(".")[0] in _OPTIONS_OF_TABLES:
        others += [f"options.{name}", f"data.options.{name}"]
    # The flags of a mapping are not listed: --columns stands for --columns.text.
    groups = {one for one in known if any(other.startswith(f"{one}.") for other in known)} - {"--data.options"}
    heads = tuple(f"{one}." for one in known if one not in groups)
    found = [f"--{other}" for other in others if other != name and f"--{other}.".startswith(heads)]
    return found[:1] or get_close_matches(flag, known, n=1)


def _explain_value(parser: ArgumentParser, key: str, expected: str, value: str) -> str:
    """Say what a flag expects, e.g. ``--training.epochs: found 'x', expected a whole number``; suggest a near choice.

    Args:
        parser: the parser of the command.
        key: name of the flag, without ``--``.
        expected: a type as jsonargparse writes it, or several lines ``- Expected a …``.
        value: the value that was found.
    """
    name = f"--{key}" if f"--{key}" in flags(parser) else key
    found = _one_line(value)
    types = re.findall(r"- Expected an? (.+?)\s*$", expected, re.MULTILINE) or [expected]
    choices = [choice for kind in types if "Literal" in kind for choice in re.findall(r"'([^']+)'", kind)]
    near = get_close_matches(found, choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    kinds = {"<class 'int'>": "a whole number", "<class 'float'>": "a number", "<class 'bool'>": "true or false"}
    kinds |= dict.fromkeys(("<class 'tuple'>", "<class 'list'>"), "a list such as [a, b]")
    kinds |= {"<class 'dict'>": "a mapping such as {a: 1}"}
    named = [kinds.get(kind, _one_line(kind)) for kind in types if "NoneType" not in kind and "Literal" not in kind]
    wanted = " or ".join([f"one of {', '.join(choices)}"] * bool(choices) + named)
    return f"{name}: found {shown_value(found)}, expected {wanted}{hint}"


def _one_line(message: str) -> str:
    return re.sub(r"\s*\n\s*", " ", message).strip().rstrip(".")


def values_of_flag(tokens: Sequence[str], flag: str) -> Iterator[str]:
    """Yield the values that the tokens give a flag, as ``--flag value`` or ``--flag=value``."""
    for index, token in enumerate(tokens):
        if token == flag and index + 1 < len(tokens):
            yield tokens[index + 1]
        elif token.startswith(f"{flag}="):
            yield token.partition("=")[2]
