"""What a parameter may be when nothing is rounded: lists of values, and numbers with a distribution.

A share is a number in [0, 1). It is turned into a value by the inverse of the distribution function, so a uniform share
gives a value with the distribution of the shape. Fields are named as the keys of a sweep file.

Source: the search spaces of Weights & Biases sweeps.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, ClassVar

from dialogue_ser.errors import ConfigError

#: Shares nearer to 0 or 1 count as this near: a normal distribution has no end.
_LEAST_SHARE = 2.0**-54
_MOST_SHARE = 1.0 - 2.0**-53
#: A grid lists at most this many values of one parameter.
MOST_GRID_VALUES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a parameter may be, with the probability of each value.

    ``distribution`` is the name of the shape in a sweep file.
    """

    distribution: ClassVar[str]
    #: whether a grid can take this shape: it lists its values, in :meth:`grid_values`.
    is_finite: ClassVar[bool] = False

    def at(self, share: float) -> Any:
        """Return the value at a share in [0, 1) of the probability."""
        return self._value(share)

    def n_grid_values(self) -> int:
        """Return the number of values that a grid goes through, without making them.

        Raises:
            ConfigError: a grid cannot take this shape.
        """
        raise ConfigError(f"{self.distribution}: a grid cannot list its values; use a list of values")

    def grid_values(self) -> list[Any]:
        """Return the values that a grid goes through, in its order.

        Raises:
            ConfigError: a grid cannot take this shape, or there are more than a million values.
        """
        n = self.n_grid_values()
        if n > MOST_GRID_VALUES:
            raise ConfigError(f"{self.distribution}: a grid of {n:,} values; at most {MOST_GRID_VALUES:,} are listed")
        return self._listed()

    def _value(self, share: float) -> Any:
        raise NotImplementedError

    def _listed(self) -> list[Any]:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Constant(Shape):
    """One value, which may be null."""

    distribution: ClassVar[str] = "constant"
    is_finite: ClassVar[bool] = True
    value: Any

    def _value(self, share: float) -> Any:
        return deepcopy(self.value)

    def n_grid_values(self) -> int:
        """Return 1."""
        return 1

    def _listed(self) -> list[Any]:
        return [deepcopy(self.value)]


@dataclass(frozen=True, kw_only=True)
class Categorical(Shape):
    """A list of values of any type. Each has the same probability."""

    distribution: ClassVar[str] = "categorical"
    is_finite: ClassVar[bool] = True
    values: tuple[Any, ...]

    def _value(self, share: float) -> Any:
        return deepcopy(self.values[int(share * len(self.values))])

    def n_grid_values(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def _listed(self) -> list[Any]:
        return deepcopy(list(self.values))


@dataclass(frozen=True, kw_only=True)
class WeightedCategorical(Shape):
    """A list of values, each with its own probability. A grid cannot take it."""

    distribution: ClassVar[str] = "categorical_w_probabilities"
    values: tuple[Any, ...]
    probabilities: tuple[float, ...]

    def _value(self, share: float) -> Any:
        place = share * math.fsum(self.probabilities)  # the sum may differ from 1 by rounding
        possible = [index for index, weight in enumerate(self.probabilities) if weight > 0]
        ends = list(accumulate(self.probabilities))
        found = next((index for index in possible if place < ends[index]), possible[-1])
        return deepcopy(self.values[found])


@dataclass(frozen=True, kw_only=True)
class IntUniform(Shape):
    """Whole numbers of the same probability. Both ends are possible."""

    distribution: ClassVar[str] = "int_uniform"
    is_finite: ClassVar[bool] = True
    min: int
    max: int

    def _value(self, share: float) -> int:
        return int(self.min) + int(share * (self.max - self.min + 1))

    def n_grid_values(self) -> int:
        """Return the number of whole numbers, both ends counted."""
        return self.max - self.min + 1

    def _listed(self) -> list[Any]:
        return list(range(self.min, self.max + 1))


@dataclass(frozen=True, kw_only=True)
class Uniform(Shape):
    """All numbers between two ends, with the same density."""

    distribution: ClassVar[str] = "uniform"
    min: float
    max: float

    def _value(self, share: float) -> float:
        return min(self.min + share * (self.max - self.min), float(self.max))


@dataclass(frozen=True, kw_only=True)
class LogUniformValues(Shape):
    """Numbers whose logarithm is uniform. The ends are the least and the greatest number."""

    distribution: ClassVar[str] = "log_uniform_values"
    min: float
    max: float

    def _value(self, share: float) -> float:
        low, high = math.log(self.min), math.log(self.max)
        return float(min(max(math.exp(low + share * (high - low)), self.min), self.max))


@dataclass(frozen=True, kw_only=True)
class InvLogUniformValues(LogUniformValues):
    """Numbers whose inverse has a uniform logarithm. This is the same distribution as ``log_uniform_values``."""

    distribution: ClassVar[str] = "inv_log_uniform_values"


@dataclass(frozen=True, kw_only=True)
class LogUniform(Shape):
    """Numbers whose logarithm is uniform. The ends are exponents of e. Weights & Biases calls this shape old."""

    distribution: ClassVar[str] = "log_uniform"
    min: float
    max: float

    def _value(self, share: float) -> float:
        return math.exp(self.min + share * (self.max - self.min))


@dataclass(frozen=True, kw_only=True)
class InvLogUniform(Shape):
    """Inverses of the numbers of ``log_uniform``: between exp(-max) and exp(-min). This shape is old, too."""

    distribution: ClassVar[str] = "inv_log_uniform"
    min: float
    max: float

    def _value(self, share: float) -> float:
        return math.exp(-(self.min + (1 - share) * (self.max - self.min)))


@dataclass(frozen=True, kw_only=True)
class Normal(Shape):
    """A normal distribution with the mean ``mu`` and the standard deviation ``sigma``."""

    distribution: ClassVar[str] = "normal"
    mu: float = 0.0
    sigma: float = 1.0

    def _value(self, share: float) -> float:
        return self.mu + self.sigma * NormalDist().inv_cdf(_inside(share))


@dataclass(frozen=True, kw_only=True)
class LogNormal(Normal):
    """Numbers whose logarithm has a normal distribution."""

    distribution: ClassVar[str] = "log_normal"

    def _value(self, share: float) -> float:
        return math.exp(super()._value(share))


@dataclass(frozen=True, kw_only=True)
class Beta(Shape):
    """A beta distribution on [0, 1]."""

    distribution: ClassVar[str] = "beta"
    a: float = 1.0
    b: float = 1.0

    def _value(self, share: float) -> float:
        from scipy.special import betaincinv  # slow to import

        return float(betaincinv(self.a, self.b, share))


def _inside(share: float) -> float:
    return min(max(share, _LEAST_SHARE), _MOST_SHARE)
