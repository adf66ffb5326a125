"""The points of a grid, in the order of Weights & Biases, and the keys that say which of them are done.

Source: the grid search of Weights & Biases sweeps.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from dialogue_ser.search_space.shapes import Nested, Parameter, Shape


def grid_points(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    """Yield every point of a grid once. A nested parameter is a dict in it.

    The names are sorted, also inside of nested parameters, and the last one varies fastest. Points whose values
    count as equal (:func:`point_key`) are yielded once.

    Raises:
        ConfigError: a grid cannot take a parameter, or a parameter has more than a million values.
    """
    yield from remaining(parameters, ())


def remaining(parameters: Mapping[str, Parameter], done: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the points of a grid that are not done, in the order of the grid.

    Args:
        parameters: name → parameter.
        done: values of trials that were made before. Names that are no parameter, and keys of a dict that the grid's
            value does not have, do not count.

    Raises:
        ConfigError: see :func:`grid_points`.
    """
    shapes = _sorted_leaves(parameters, ())
    columns = [(path, [(_key(value), value) for value in shape.grid_values()]) for path, shape in shapes]
    seen = {key for values in done if (key := _key_of_done(columns, values)) is not None}
    for choice in product(*(column for _, column in columns)):
        key = tuple(one for one, _ in choice)
        if key not in seen:
            seen.add(key)
            yield nested({path: value for (path, _), (_, value) in zip(columns, choice, strict=True)})


def size(parameters: Mapping[str, Parameter]) -> int:
    """Return the number of points of a grid. Equal values in one list count twice here.

    Raises:
        ConfigError: a grid cannot take a parameter.
    """
    return math.prod(shape.n_grid_values() for _, shape in _sorted_leaves(parameters, ()))


def point_key(values: Mapping[str, Any]) -> str:
    """Return a text that is equal for values that count as equal: 3.0 is 3, and the order of keys has no effect.

    0, False, null and the empty text are all different.

    >>> point_key({"b": {"x": 1}, "a": 3.0}) == point_key({"a": 3, "b": {"x": 1}})
    True
    >>> point_key({"a": 0}) == point_key({"a": False})
    False
    """
    return _key(values)


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return values by path as nested dicts.

    >>> nested({("a", "b"): 1, ("c",): 2})
    {'a': {'b': 1}, 'c': 2}
    """
    found: dict[str, Any] = {}
    for path, value in values.items():
        inside = found
        for part in path[:-1]:
            inside = inside.setdefault(part, {})
        inside[path[-1]] = value
    return found


def _key(value: Any) -> str:
    return json.dumps(_canonical(value), sort_keys=True, ensure_ascii=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [type(value).__name__, str(value)]


def _sorted_leaves(parameters: Mapping[str, Parameter], above: tuple[str, ...]) -> list[tuple[tuple[str, ...], Shape]]:
    found: list[tuple[tuple[str, ...], Shape]] = []
    for name, one in sorted(parameters.items()):
        path = (*above, name)
        found += _sorted_leaves(one.parameters, path) if isinstance(one, Nested) else [(path, one)]
    return found


def _key_of_done(
    columns: list[tuple[tuple[str, ...], list[tuple[str, Any]]]], values: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """Return the key of a trial's point; None if the trial has no value for one of the parameters."""
    found = []
    for path, column in columns:
        value: Any = values
        for part in path:
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        matching = (key for key, wanted in column if _key(_only_keys_of(value, wanted)) == key)
        found.append(next(matching, _key(value)))
    return tuple(found)


def _only_keys_of(value: Any, wanted: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return {key: _only_keys_of(one, wanted[key]) for key, one in value.items() if key in wanted}
    return value
