"""One check of options, of whatever takes them: names, types by their hints, what is missing, ranges by their names."""

import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dialogue_ser.errors import ConfigError, unknown_name

T = TypeVar("T")
_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def option_problems(
    who: str,
    target: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    at: str = "option ",
    given: Collection[str] = (),
    further: Collection[str] = (),
) -> list[str]:
    """One sentence per option that its target does not have, that it needs, or that has another type than it states.

    Args:
        who: begins every sentence, e.g. ``reader table``.
        target: function, class or dataclass; parameters without annotation take anything.
        options: as configuration files give them.
        at: what stands before an option's name, e.g. ``model.options.``.
        given: parameters that are filled by somebody else, so that they are no options.
        further: names that are options too, though the signature does not have them.

    >>> def read(path: str, size: int = 3, files: Mapping[str, str] | None = None) -> None: ...
    >>> for problem in option_problems("reader mine", read, {"size": "x", "file": "a"}, given=["path"]):
    ...     print(problem)
    reader mine: unknown option 'file'; did you mean 'files'? Known: files, size
    reader mine: option size: found 'x', expected a whole number
    """
    parameters = inspect.signature(target).parameters.values()
    own = {one.name: one for one in parameters if one.kind in _NAMED and one.name not in given}
    problems = unknown_options(who, target, options, given=given, further=further)
    missing = [name for name, one in own.items() if one.default is one.empty and name not in options]
    if missing:
        problems.append(f"{who}: option {', '.join(missing)} is required; known: {', '.join([*own, *further])}")
    hints = _hints_of(target)
    for name, value in options.items():
        if name in own:
            wrong: list[str] = []
            _convert(hints.get(name, Any), value, f"{at}{name}", wrong)
            problems.extend(f"{who}: {problem}" for problem in wrong)
    return problems


def unknown_options(
    who: str,
    target: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    given: Collection[str] = (),
    further: Collection[str] = (),
) -> list[str]:
    """One sentence per option that its target does not have; arguments as of :func:`option_problems`."""
    parameters = inspect.signature(target).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    known = [*(one.name for one in parameters if one.kind in _NAMED and one.name not in given), *further]
    return [f"{who}: {unknown_name('option', name, known or ['(none)'])}" for name in options if name not in known]


def construct(who: str, target: Callable[..., T], options: Mapping[str, Any], *, at: str = "option ") -> T:
    """What a target makes of its options.

    Args:
        who: begins every sentence of an error.
        target: function or class; raises ConfigError itself where a number is out of range.
        options: all that it gets.
        at: as of :func:`option_problems`.

    Raises:
        ConfigError: every option that it does not have, lacks or cannot take.

    >>> def area(width: int, height: int = 1) -> int:
    ...     return width * height
    >>> construct("area", area, {"width": 3})
    3
    >>> construct("area", area, {"height": "tall"})
    Traceback (most recent call last):
    ...
    dialogue_ser.errors.ConfigError: area: option width is required; known: width, height
    area: option height: found 'tall', expected a whole number
    """
    problems = option_problems(who, target, options, at=at)
    if problems:
        raise ConfigError(*problems)
    try:
        return target(**options)
    except TypeError as error:
        raise ConfigError(f"{who}: options {dict(options)} do not fit it: {error}; correct them") from error


def build(kind: type[T], values: Mapping[str, Any], at: str, problems: list[str]) -> T | None:
    """A dataclass from a mapping, as YAML gives it; its fields may be dataclasses, lists and mappings of them.

    Forgives what YAML 1.1 makes of ``no`` and ``1e-3``; a list becomes a tuple where the field is one.

    Args:
        kind: raises ConfigError itself where a number is out of range.
        values: fields that are missing keep their defaults.
        at: dotted name of the place, for messages, with its dot.
        problems: one sentence is added per key that is unknown or missing and per value that does not fit.

    Returns:
        None where there was a problem.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Loop:
    ...     epochs: int = 1
    ...     rate: float = 0.1
    >>> problems: list[str] = []
    >>> build(Loop, {"rate": "1e-3"}, "loop.", problems)
    Loop(epochs=1, rate=0.001)
    >>> build(Loop, {"epoch": 3}, "loop.", problems), problems
    (None, ["loop.epoch: unknown setting 'epoch'; did you mean 'epochs'? Known: epochs, rate"])
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    n_before = len(problems)
    for key, value in values.items():
        if key not in known:
            problems.append(f"{at}{key}: {unknown_name('setting', str(key), known)}")
        else:
            found[key] = _convert(hints[key], value, f"{at}{key}", problems, is_yaml=True)
    missing = [name for name, field in known.items() if name not in found and _is_required(field)]
    problems.extend(f"{at}{name}: is missing and has no default; set it" for name in missing)
    if len(problems) > n_before:
        return None
    try:
        return kind(**found)
    except ConfigError as error:  # numbers out of range
        problems.extend(error.problems)
        return None


def check_fields(where: str, config: object) -> None:
    """Check a dataclass that has been made: types and choices by hints, ranges by names.

    A size (``…_dim``, ``…_dims``, ``n_…``, and a mapping to whole numbers) must be at least 1, ``…dropout`` in [0, 1).

    Args:
        where: begins every sentence, e.g. ``model bigru: model.options``.
        config: what to check; a field that is None where its hint allows that is left alone.

    Raises:
        ConfigError: every field that is no choice (names the nearest), of another type or out of range.
    """
    assert is_dataclass(config)
    hints = get_type_hints(type(config))
    problems: list[str] = []
    for field in fields(config):
        _convert(hints[field.name], getattr(config, field.name), f"{where}.{field.name}", problems)
    if not problems:
        for field in fields(config):
            problems += _out_of_range(where, field.name, hints[field.name], getattr(config, field.name))
    if problems:
        raise ConfigError(*problems)


def _out_of_range(where: str, name: str, hint: Any, value: Any) -> Iterator[str]:
    is_sizes = get_origin(hint) in (dict, Mapping) and get_args(hint)[1] is int
    if name.endswith(("_dim", "_dims")) or name.startswith("n_") or is_sizes:
        for place, size in _leaves(name, value):
            if size < 1:
                yield f"{where}.{place}: found {size}, expected at least 1"
    elif name.endswith("dropout") and value is not None and not 0 <= value < 1:
        yield f"{where}.{name}: found {value}, expected at least 0 and below 1"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or the values inside it, with their places."""
    if isinstance(value, Mapping):
        yield from ((f"{name}.{key}", item) for key, item in value.items())
    elif isinstance(value, Sequence):
        yield from ((f"{name}[{i}]", item) for i, item in enumerate(value))
    elif value is not None:
        yield name, value


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(target, eval_str=True).parameters.values()
    except (NameError, TypeError, SyntaxError):  # annotations of a user's own function that mean nothing here
        return {}
    return {one.name: Any if one.annotation is one.empty else one.annotation for one in parameters}


def _convert(
    hint: Any, value: Any, at: str, problems: list[str], *, is_yaml: bool = False, is_inside: bool = False
) -> Any:
    """The value as its hint wants it; a problem is noted where it does not fit.

    Args:
        hint: evaluated annotation.
        value: found.
        at: its place, for messages.
        problems: to add to.
        is_yaml: dataclasses are built from mappings, and texts and switches of YAML 1.1 read as what they were.
        is_inside: of a list or mapping, where a class may be called 1.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    manner = {"is_yaml": is_yaml, "is_inside": is_inside}
    if origin in (Union, types.UnionType):
        return _convert_union(hint, value, at, problems, manner)
    kind = origin or hint
    if is_yaml and isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, f"{at}.", problems)
    manner["is_inside"] = True
    if isinstance(kind, type) and issubclass(kind, Mapping) and isinstance(value, Mapping):
        inner = arguments[-1] if arguments else Any
        return {str(key): _convert(inner, item, f"{at}.{key}", problems, **manner) for key, item in value.items()}
    if kind in (Sequence, list, tuple) and isinstance(value, list | tuple):
        inner = arguments[0] if arguments else Any
        items = (_convert(inner, item, f"{at}[{i}]", problems, **manner) for i, item in enumerate(value))
        return tuple(items) if kind is tuple else list(items)
    fits, converted = _scalar(hint, value, is_yaml=is_yaml, is_inside=is_inside)
    if not fits:
        problems.append(f"{at}: found {value!r}, expected {_expected(hint)}{_nearest(hint, value)}")
    return converted


def _convert_union(hint: Any, value: Any, at: str, problems: list[str], manner: Mapping[str, bool]) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    choices = [choice for choice in get_args(hint) if choice is not type(None)]
    for choice in choices:
        wrong: list[str] = []
        converted = _convert(choice, value, at, wrong, **manner)
        if not wrong:
            return converted
    problems += wrong if len(choices) == 1 else [f"{at}: found {value!r}, expected {_expected(hint)}"]
    return value


def _scalar(hint: Any, value: Any, *, is_yaml: bool, is_inside: bool) -> tuple[bool, Any]:
    """Whether a plain value fits its hint, and the value."""
    if get_origin(hint) is Literal:
        if is_yaml and value is False and "no" in get_args(hint):
            return True, "no"
        return value in get_args(hint), value
    kind = get_origin(hint) or hint
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_yaml and (is_number or isinstance(value, str)):
        try:
            return True, float(value)
        except ValueError:
            return False, value
    if kind in (int, float):
        return is_number and (kind is float or isinstance(value, int)), value
    if kind is str and is_inside and is_number:  # a class that is called 1 is a text all the same
        return True, str(value)
    if kind in (Sequence, Mapping):  # a text is a sequence, but no list
        return False, value
    try:
        return kind is Any or not isinstance(kind, type) or isinstance(value, kind), value
    except TypeError:  # a protocol that cannot be asked
        return True, value


def _expected(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(choice) for choice in arguments if choice is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    kind = origin or hint
    if is_dataclass(kind):
        return "a mapping"
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return f"a mapping to {_expected(arguments[-1])}, e.g. {{name: …}}" if arguments else "a mapping"
    if kind in (Sequence, list, tuple):
        return "a list such as [a, b]"
    return _PLAIN.get(kind, "any value" if kind is Any else getattr(kind, "__name__", str(kind)))


def _nearest(hint: Any, value: Any) -> str:
    choices = [choice for choice in get_args(hint) if isinstance(choice, str)] if get_origin(hint) is Literal else []
    near = get_close_matches(str(value), choices, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
