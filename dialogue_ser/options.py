"""Checks of options and settings: names, types (from annotations), ranges (from names) and missing values."""

import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dialogue_ser.errors import MOST_SHOWN, ConfigError, shown_value, unknown_name

T = TypeVar("T")
_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def option_problems(
    owner: str,
    target: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    name_prefix: str = "option ",
    set_by_caller: Collection[str] = (),
    also_allowed: Collection[str] = (),
) -> list[str]:
    """Return one message for every option that is unknown, is missing, or has a value of the wrong type.

    Args:
        owner: what has the options, e.g. ``reader table``. Every message begins with it.
        target: function, class or dataclass that takes the options. Parameters without annotation accept any value.
        options: name → value, as in a configuration file.
        name_prefix: text before the name of an option, e.g. ``model.options.``.
        set_by_caller: parameters that the caller sets itself. They are not options.
        also_allowed: names of further options, which are not parameters of the target.

    >>> def read(path: str, size: int = 3, files: Mapping[str, str] | None = None) -> None: ...
    >>> for problem in option_problems("reader mine", read, {"size": "x", "file": "a"}, set_by_caller=["path"]):
    ...     print(problem)
    reader mine: unknown option 'file'; did you mean 'files'? Known: files, size
    reader mine: option size: found 'x', expected a whole number
    """
    parameters = inspect.signature(target).parameters.values()
    own = {one.name: one for one in parameters if one.kind in _NAMED and one.name not in set_by_caller}
    problems = unknown_options(owner, target, options, set_by_caller=set_by_caller, also_allowed=also_allowed)
    missing = [name for name, one in own.items() if one.default is one.empty and name not in options]
    if missing:
        problems.append(f"{owner}: option {', '.join(missing)} is required; known: {', '.join([*own, *also_allowed])}")
    hints = _parameter_hints(target)
    for name, value in options.items():
        if name in own:
            wrong: list[str] = []
            _convert(hints.get(name, Any), value, f"{name_prefix}{name}", wrong)
            problems.extend(f"{owner}: {problem}" for problem in wrong)
    return problems


def unknown_options(
    owner: str,
    target: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    set_by_caller: Collection[str] = (),
    also_allowed: Collection[str] = (),
) -> list[str]:
    """Return one message for every option that the target does not have. For the arguments see option_problems."""
    parameters = inspect.signature(target).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    known = [*(one.name for one in parameters if one.kind in _NAMED and one.name not in set_by_caller), *also_allowed]
    return [f"{owner}: {unknown_name('option', name, known or ['(none)'])}" for name in options if name not in known]


def construct(owner: str, target: Callable[..., T], options: Mapping[str, Any], *, name_prefix: str = "option ") -> T:
    """Check the options of a function or class and call it with them.

    Args:
        owner: what has the options, e.g. ``model bigru``. Every message begins with it.
        target: function or class. It raises ConfigError itself if a number is out of range.
        options: all arguments of the call.
        name_prefix: text before the name of an option.

    Raises:
        ConfigError: options that are unknown, missing or of the wrong type. The message names all of them.

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
    problems = option_problems(owner, target, options, name_prefix=name_prefix)
    if problems:
        raise ConfigError(*problems)
    try:
        return target(**options)
    except TypeError as error:
        raise ConfigError(f"{owner}: the options {dict(options)} do not fit ({error}); correct them") from error


def build(kind: type[T], values: Mapping[str, Any], at: str, problems: list[str]) -> T | None:
    """Build a dataclass from a mapping that was read from YAML. Fields may contain dataclasses, lists and mappings.

    YAML 1.1 reads ``no`` as false and ``1e-3`` as a text. Both are converted back where the field needs it. A list
    becomes a tuple if the field is a tuple.

    Args:
        kind: the dataclass. It raises ConfigError itself if a number is out of range.
        values: values of the fields. A missing field keeps its default.
        at: dotted name of the mapping for messages, with a dot at the end.
        problems: one message is added for every unknown key, missing key and wrong value.

    Returns:
        the dataclass; None if there was a problem.

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
    found, n_before = dict[str, Any](), len(problems)
    for key, value in values.items():
        if key not in known:
            is_shown = len(problems) - n_before < MOST_SHOWN
            problems.append(f"{at}{key}: {unknown_name('setting', str(key), known, suggests=is_shown)}")
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
    """Check the types, choices and ranges of a dataclass that was already built.

    The name of a field decides its range. A size (``…_dim``, ``…_dims``, ``n_…``, or a mapping to whole numbers) must
    be at least 1. A ``…dropout`` must be at least 0 and below 1.

    Args:
        where: beginning of every message, e.g. ``model bigru: model.options``.
        config: the dataclass. A field may be None if its annotation allows None.

    Raises:
        ConfigError: fields of the wrong type, with an unknown choice or out of range. The message names all of them.
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
        for item, size in _items(name, value):
            if size < 1:
                yield f"{where}.{item}: found {size}, expected at least 1"
    elif name.endswith("dropout") and value is not None and not 0 <= value < 1:
        yield f"{where}.{name}: found {value}, expected at least 0 and below 1"


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of a plain value, or of each value in a mapping or list. None yields nothing."""
    if isinstance(value, Mapping):
        yield from ((f"{name}.{key}", item) for key, item in value.items())
    elif isinstance(value, Sequence):
        yield from ((f"{name}[{i}]", item) for i, item in enumerate(value))
    elif value is not None:
        yield name, value


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _parameter_hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(target, eval_str=True).parameters.values()
    except (NameError, TypeError, SyntaxError):  # a user's function may have annotations that cannot be evaluated
        return {}
    return {one.name: Any if one.annotation is one.empty else one.annotation for one in parameters}


def _convert(
    hint: Any, value: Any, at: str, problems: list[str], *, is_yaml: bool = False, in_container: bool = False
) -> Any:
    """Return the value in the type of its annotation. A message is added to ``problems`` if it does not fit.

    Args:
        hint: evaluated annotation.
        value: the value as it was found.
        at: dotted name of the value for messages.
        problems: list that messages are added to.
        is_yaml: the value was read from YAML. Dataclasses are built from mappings, and what YAML 1.1 reads wrongly is
            converted back.
        in_container: the value is in a list or mapping. There a number may be the name of a class, and becomes a text.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    flags = {"is_yaml": is_yaml, "in_container": in_container}
    if origin in (Union, types.UnionType):
        return _convert_union(hint, value, at, problems, flags)
    kind = origin or hint
    if is_yaml and isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, f"{at}.", problems)
    flags["in_container"] = True
    if isinstance(kind, type) and issubclass(kind, Mapping) and isinstance(value, Mapping):
        inner = arguments[-1] if arguments else Any
        return {str(key): _convert(inner, item, f"{at}.{key}", problems, **flags) for key, item in value.items()}
    if kind in (Sequence, list, tuple) and isinstance(value, list | tuple):
        inner = arguments[0] if arguments else Any
        items = (_convert(inner, item, f"{at}[{i}]", problems, **flags) for i, item in enumerate(value))
        return tuple(items) if kind is tuple else list(items)
    fits, converted = _convert_scalar(hint, value, is_yaml=is_yaml, in_container=in_container)
    if not fits:
        problems.append(f"{at}: found {shown_value(value)}, expected {_expected(hint)}{_suggestion(hint, value)}")
    return converted


def _convert_union(hint: Any, value: Any, at: str, problems: list[str], flags: Mapping[str, bool]) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    choices = [choice for choice in get_args(hint) if choice is not type(None)]
    for choice in choices:
        wrong: list[str] = []
        converted = _convert(choice, value, at, wrong, **flags)
        if not wrong:
            return converted
    problems += wrong if len(choices) == 1 else [f"{at}: found {shown_value(value)}, expected {_expected(hint)}"]
    return value


def _convert_scalar(hint: Any, value: Any, *, is_yaml: bool, in_container: bool) -> tuple[bool, Any]:
    """Return whether a value that is no container fits its annotation, and the converted value."""
    if get_origin(hint) is Literal:
        if is_yaml and value is False and "no" in get_args(hint):
            return True, "no"
        return value in get_args(hint), value
    kind = get_origin(hint) or hint
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (int, float, str) and is_number and isinstance(value, int) and abs(value) >= 2**63:
        return False, value  # computations fail with larger whole numbers
    if kind is float and is_yaml and (is_number or isinstance(value, str)):
        with suppress(ValueError):
            return True, float(value)
    if kind in (int, float):
        return is_number and (kind is float or isinstance(value, int)), value
    if kind is str and in_container and is_number:  # YAML reads the name of a class called 1 as a number
        return True, str(value)
    if kind in (Sequence, Mapping):  # a text is a Sequence too, but it is not accepted as a list
        return False, value
    with suppress(TypeError):  # isinstance refuses a Protocol that is not runtime_checkable
        return kind is Any or not isinstance(kind, type) or isinstance(value, kind), value
    return True, value


def _expected(hint: Any) -> str:
    """Return the words for an annotation in a message, e.g. ``a whole number``."""
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
    return _TYPE_NAMES.get(kind, "any value" if kind is Any else getattr(kind, "__name__", str(kind)))


def _suggestion(hint: Any, value: Any) -> str:
    choices = [choice for choice in get_args(hint) if isinstance(choice, str)] if get_origin(hint) is Literal else []
    near = get_close_matches(str(value), choices, n=1) if choices else []
    return f"; did you mean {near[0]!r}?" if near else ""
