"""The parameters of a sweep as parameters of Optuna.

Optuna knows lists of plain values, whole numbers, and uniform and logarithmic numbers. For all other shapes it chooses
a share of the probability, and the inverse of the distribution function turns the share into a value. For a list that
holds lists or mappings it chooses an index.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialogue_ser.search_space.draw import share_of
from dialogue_ser.search_space.grid import point_key
from dialogue_ser.search_space.shapes import (
    Categorical,
    Constant,
    IntUniform,
    InvLogUniform,
    LogUniform,
    LogUniformValues,
    Parameter,
    Shape,
    Uniform,
    leaves,
    rounded_to,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: Shares nearer to 0 or 1 are not tried: there the tails of a normal distribution begin.
LEAST_SHARE = 1e-6
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One parameter.

    Args:
        distribution: its distribution in Optuna.
        value: function from what Optuna chooses to the value.
        choice: function from a value and its share of the probability to what Optuna would have chosen.
    """

    distribution: "BaseDistribution"
    value: Callable[[Any], Any]
    choice: Callable[[Any, float], Any]


def dimensions(parameters: Mapping[str, Parameter]) -> dict[str, Dimension]:
    """Return name → dimension of every parameter that can vary. The name of a nested one has dots."""
    return {
        ".".join(path): dimension(shape)
        for path, shape in leaves(parameters).items()
        if not isinstance(shape, Constant)
    }


def dimension(shape: Shape) -> Dimension:
    """Return a shape as a dimension."""
    if isinstance(shape, Categorical):
        return _of_list(shape.values)
    if isinstance(shape, IntUniform):
        return _of_whole_numbers(shape)
    if isinstance(shape, Uniform):
        return _of_uniform(shape)
    if isinstance(shape, LogUniformValues | LogUniform | InvLogUniform):
        return _of_logarithmic(shape)
    return _of_share(shape)


def choices_of(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], seed: int, trial: int
) -> tuple[dict[str, Any], dict[str, "BaseDistribution"]]:
    """Return what Optuna would have chosen for the values of a trial of grid or random, and the distributions.

    Args:
        parameters: name → parameter.
        values: the values of the trial, nested.
        seed: seed of the sweep.
        trial: number of the trial.
    """
    found = dimensions(parameters)
    params = {
        name: one.choice(value_at(values, tuple(path)), share_of(name, seed, trial))
        for path in leaves(parameters)
        if (one := found.get(name := ".".join(path))) is not None
    }
    return params, {name: found[name].distribution for name in params}


def values_of(parameters: Mapping[str, Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a trial, nested, from what Optuna has chosen."""
    found = dimensions(parameters)
    values: dict[str, Any] = {}
    for path, shape in leaves(parameters).items():
        name = ".".join(path)
        inside = values
        for part in path[:-1]:
            inside = inside.setdefault(part, {})
        inside[path[-1]] = shape.at(0.0) if name not in found else found[name].value(params[name])
    return values


def value_at(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value of a parameter from nested values; None if it is not there."""
    value: Any = values
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def flat_values(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return name with dots → value of every parameter."""
    return {".".join(path): value_at(values, path) for path in leaves(parameters)}


def _of_list(values: Sequence[Any]) -> Dimension:
    from optuna.distributions import CategoricalDistribution

    is_plain = all(one is None or isinstance(one, bool | int | float | str) for one in values)
    is_clear = all(a == a and a != b for i, a in enumerate(values) for b in values[:i]) and values[0] == values[0]
    if is_plain and is_clear:  # 1 and True are equal for Optuna
        return Dimension(
            distribution=CategoricalDistribution(tuple(values)), value=lambda one: one, choice=lambda value, _: value
        )
    keys = [point_key({"": one}) for one in values]
    return Dimension(
        distribution=CategoricalDistribution(tuple(range(len(values)))),
        value=lambda index: deepcopy(values[index]),
        choice=lambda value, _: keys.index(point_key({"": value})),
    )


def _of_whole_numbers(shape: IntUniform) -> Dimension:
    from optuna.distributions import IntDistribution

    return Dimension(
        distribution=IntDistribution(int(shape.min), int(shape.max)), value=int, choice=lambda value, _: int(value)
    )


def _of_uniform(shape: Uniform) -> Dimension:
    """Return a uniform shape. Multiples of q are steps of Optuna if both ends are multiples, and rounded otherwise."""
    from optuna.distributions import FloatDistribution, IntDistribution

    q = getattr(shape, "q", None)
    low, high = shape.min, shape.max
    if q is None or not (_is_whole(low / q) and _is_whole(high / q)):
        distribution: BaseDistribution = FloatDistribution(float(low), float(high))
        rounded = (lambda one: one) if q is None else (lambda one: rounded_to(one, q))
        return Dimension(
            distribution=distribution, value=rounded, choice=lambda value, _: min(max(float(value), low), high)
        )
    steps = IntDistribution(round(low / q), round(high / q))
    return Dimension(
        distribution=steps,
        value=lambda step: step * q,
        choice=lambda value, _: min(max(round(value / q), steps.low), steps.high),
    )


def _of_logarithmic(shape: LogUniformValues | LogUniform | InvLogUniform) -> Dimension:
    from optuna.distributions import FloatDistribution

    if isinstance(shape, LogUniformValues):
        low, high = float(shape.min), float(shape.max)
    else:
        ends = (shape.min, shape.max) if isinstance(shape, LogUniform) else (-shape.max, -shape.min)
        if max(map(abs, ends)) > 300:  # the exponential of a larger number is infinite
            return _of_share(shape)
        low, high = (math.exp(end) for end in ends)
    q = getattr(shape, "q", None)
    return Dimension(
        distribution=FloatDistribution(low, high, log=True),
        value=(lambda one: one) if q is None else (lambda one: rounded_to(one, q)),
        choice=lambda value, _: min(max(float(value), low), high),
    )


def _of_share(shape: Shape) -> Dimension:
    from optuna.distributions import FloatDistribution

    return Dimension(
        distribution=FloatDistribution(LEAST_SHARE, 1 - LEAST_SHARE),
        value=shape.at,
        choice=lambda _, share: min(max(share, LEAST_SHARE), 1 - LEAST_SHARE),
    )


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < _TOLERANCE
