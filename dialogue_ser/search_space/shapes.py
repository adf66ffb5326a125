"""The 19 shapes that a parameter of a sweep can have. Those that round nothing lie in ``laws``.

Source: the search spaces of Weights & Biases sweeps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dialogue_ser.search_space.laws import (
    Beta,
    Categorical,
    Constant,
    IntUniform,
    InvLogUniform,
    InvLogUniformValues,
    LogNormal,
    LogUniform,
    LogUniformValues,
    Normal,
    Shape,
    Uniform,
    WeightedCategorical,
)

__all__ = [
    "GRID_DISTRIBUTIONS",
    "SHAPES",
    "Beta",
    "Categorical",
    "Constant",
    "IntUniform",
    "InvLogUniform",
    "InvLogUniformValues",
    "LogNormal",
    "LogUniform",
    "LogUniformValues",
    "Nested",
    "Normal",
    "Parameter",
    "QBeta",
    "QLogNormal",
    "QLogUniform",
    "QLogUniformValues",
    "QNormal",
    "QUniform",
    "Shape",
    "Uniform",
    "WeightedCategorical",
    "leaves",
    "rounded_to",
]


@dataclass(frozen=True, kw_only=True)
class _Rounded(Shape):
    """Rounds the values of the shape beside it to multiples of ``q``. They can lie outside of min and max then."""

    q: float = 1

    def _value(self, share: float) -> float:
        return rounded_to(super()._value(share), self.q)


@dataclass(frozen=True, kw_only=True)
class QUniform(_Rounded, Uniform):
    """Uniform numbers, rounded to multiples of ``q``. A grid goes from ``min`` in steps of ``q`` and omits ``max``."""

    distribution: ClassVar[str] = "q_uniform"
    is_finite: ClassVar[bool] = True

    def n_grid_values(self) -> int:
        """Return the number of steps of q between the ends."""
        return math.ceil((self.max - self.min) / self.q)

    def _listed(self) -> list[Any]:
        return list(np.arange(self.min, self.max, self.q).tolist())


@dataclass(frozen=True, kw_only=True)
class QLogUniformValues(_Rounded, LogUniformValues):
    """The numbers of ``log_uniform_values``, rounded to multiples of ``q``."""

    distribution: ClassVar[str] = "q_log_uniform_values"


@dataclass(frozen=True, kw_only=True)
class QLogUniform(_Rounded, LogUniform):
    """The numbers of ``log_uniform``, rounded to multiples of ``q``."""

    distribution: ClassVar[str] = "q_log_uniform"


@dataclass(frozen=True, kw_only=True)
class QNormal(_Rounded, Normal):
    """Numbers of a normal distribution, rounded to multiples of ``q``."""

    distribution: ClassVar[str] = "q_normal"


@dataclass(frozen=True, kw_only=True)
class QLogNormal(_Rounded, LogNormal):
    """Numbers whose logarithm has a normal distribution, rounded to multiples of ``q``."""

    distribution: ClassVar[str] = "q_log_normal"


@dataclass(frozen=True, kw_only=True)
class QBeta(_Rounded, Beta):
    """Numbers of a beta distribution, rounded to multiples of ``q``."""

    distribution: ClassVar[str] = "q_beta"


@dataclass(frozen=True, kw_only=True)
class Nested:
    """A mapping of further parameters. Its value is a dict with a value for each of them."""

    parameters: Mapping[str, "Parameter"]

    @property
    def is_finite(self) -> bool:
        """Whether a grid can take all parameters inside."""
        return all(one.is_finite for one in self.parameters.values())


Parameter = Shape | Nested
SHAPES: dict[str, type[Shape]] = {
    one.distribution: one
    for one in (
        Constant, Categorical, WeightedCategorical, IntUniform, Uniform, QUniform, LogUniform, LogUniformValues,
        QLogUniform, QLogUniformValues, InvLogUniform, InvLogUniformValues, Normal, QNormal, LogNormal, QLogNormal,
        Beta, QBeta,
    )
}  # fmt: skip
#: Shapes that a grid can take.
GRID_DISTRIBUTIONS = tuple(name for name, one in SHAPES.items() if one.is_finite)


def rounded_to(value: float, q: float) -> float:
    """Return the multiple of q that is nearest to a value: a whole number if q is one.

    >>> rounded_to(7.4, 2), rounded_to(0.74, 0.5)
    (8, 0.5)
    """
    return round(value / q) * q


def leaves(parameters: Mapping[str, Parameter], above: Sequence[str] = ()) -> dict[tuple[str, ...], Shape]:
    """Return the parameters that are drawn, by their path. Those inside of nested ones have longer paths.

    >>> list(leaves({"a": Nested(parameters={"b": Constant(value=1)}), "c": Constant(value=2)}))
    [('a', 'b'), ('c',)]
    """
    found: dict[tuple[str, ...], Shape] = {}
    for name, one in parameters.items():
        found |= leaves(one.parameters, (*above, name)) if isinstance(one, Nested) else {(*above, name): one}
    return found
