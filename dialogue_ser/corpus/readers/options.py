"""Do options have the types that a signature states? Asked before whoever takes them runs into them."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

_EXPECTED = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def misfits(who: str, function: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """One sentence per option whose value is not what the signature's annotation says.

    Args:
        who: for messages, e.g. ``reader table``.
        function: the reader, or whatever else takes options; parameters without annotation take anything.
        options: as configuration files give them.

    >>> def read(path: str, size: int = 3, files: Mapping[str, str] | None = None) -> None: ...
    >>> misfits("reader mine", read, {"size": "x", "files": ["a"]})[0]
    "reader mine: option size: found 'x', expected a whole number"
    """
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (NameError, TypeError, SyntaxError):  # annotations of a user's own function that mean nothing here
        return []
    hints = {parameter.name: parameter.annotation for parameter in parameters}
    return [
        f"{who}: option {name}: found {value!r}, expected {_expected(hints[name])}"
        for name, value in options.items()
        if hints.get(name, inspect.Parameter.empty) is not inspect.Parameter.empty and not _fits(hints[name], value)
    ]


def _fits(hint: Any, value: Any, *, is_inside: bool = False) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(choice, value, is_inside=is_inside) for choice in arguments)
    if origin is Literal:
        return value in arguments
    kind = origin or hint
    if kind is Any or not isinstance(kind, type):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(_fits(arguments[-1], item, is_inside=True) for item in value.values())
    if kind in (Sequence, list, tuple):
        inner = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(_fits(inner, item, is_inside=True) for item in value)
    if kind is str and is_inside:  # a class that is called 1 is a text all the same
        return isinstance(value, str | int | float)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _expected(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(choice) for choice in arguments if choice is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return f"a mapping to {_expected(arguments[-1])}, e.g. {{name: …}}" if arguments else "a mapping"
    if kind in (Sequence, list, tuple):
        return "a list such as [a, b]"
    return _EXPECTED.get(kind, "any value" if kind is Any else getattr(kind, "__name__", str(kind)))
