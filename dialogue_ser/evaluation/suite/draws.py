"""What tuning draws: the values that a setting may have, written as in a sweep of Weights & Biases."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from dialogue_ser.errors import ConfigError, shown_value, unknown_name

Distribution = Literal["uniform", "int_uniform", "log_uniform_values"]
_DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)
_MOST = 1e15
_EXAMPLE = "{values: [16, 32]} or {distribution: log_uniform_values, min: 0.0001, max: 0.01}"


@dataclass(frozen=True, kw_only=True)
class Values:
    """A list of values. Each has the same probability."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """Return the value at a share in [0, 1) of the probability."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True, kw_only=True)
class Span:
    """All numbers between two ends: of the same probability, whole numbers only, or with a uniform logarithm."""

    distribution: Distribution
    low: float
    high: float

    def at(self, share: float) -> float:
        """Return the number at a share in [0, 1) of the probability. Both ends of whole numbers are possible."""
        if self.distribution == "int_uniform":
            return int(self.low) + int(share * (self.high - self.low + 1))
        if self.distribution == "log_uniform_values":
            low, high = math.log(self.low), math.log(self.high)
            return math.exp(low + share * (high - low))
        return self.low + share * (self.high - self.low)


Parameter = Values | Span


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How settings are chosen on dev before the systems are compared.

    Args:
        trials: number of trials of every system. The first one has the settings as they stand in the suite.
        seed: seed of the trainings and of the draws.
        parameters: setting → what it may be, for all systems.
        own: label of a system → its further parameters; they replace those of the same name.
    """

    trials: int
    seed: int
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Parameter]] = field(default_factory=dict)

    def of(self, system: str) -> dict[str, Parameter]:
        """Return the parameters of a system."""
        return {**self.parameters, **self.own.get(system, {})}

    def draw(self, name: str, parameter: Parameter, trial: int) -> Any:
        """Return the value of a setting in a trial.

        It depends on the seed, the trial and the name of the setting only, so all systems try the same learning rates.

        Args:
            name: the setting.
            parameter: what it may be.
            trial: number of the trial, from 1.
        """
        generator = np.random.default_rng([self.seed, trial, zlib.crc32(name.encode())])
        return parameter.at(float(generator.random()))


def parameter_of(text: Any) -> Parameter:
    """Read a parameter as it stands in a suite.

    Args:
        text: ``{values: […]}``, or ``{min: A, max: B}`` with an optional ``distribution``: uniform, int_uniform (the
            default if both ends are whole numbers), or log_uniform_values.

    Raises:
        ConfigError: it is none of these, or an end is no number that fits.

    >>> parameter_of({"values": [1, 2]}).at(0.5)
    2
    """
    if not isinstance(text, Mapping):
        raise ConfigError(f"found {shown_value(text)}, expected a mapping such as {_EXAMPLE}")
    if set(text) == {"values"}:
        if not isinstance(text["values"], list) or not text["values"]:
            raise ConfigError(f"values: found {shown_value(text['values'])}, expected a list such as [16, 32]")
        return Values(values=tuple(text["values"]))
    if not {"min", "max"} <= set(text) <= {"min", "max", "distribution"}:
        raise ConfigError(f"found {shown_value(dict(text))}, expected a mapping such as {_EXAMPLE}")
    low, high = text["min"], text["max"]
    ends = (low, high)
    is_whole = all(isinstance(end, int) for end in ends)
    distribution = text.get("distribution", "int_uniform" if is_whole else "uniform")
    if distribution not in _DISTRIBUTIONS:
        raise ConfigError(unknown_name("distribution", str(distribution), _DISTRIBUTIONS))
    is_number = all(isinstance(end, int | float) and not isinstance(end, bool) and abs(end) <= _MOST for end in ends)
    if not is_number or low >= high:
        raise ConfigError(
            f"found min {shown_value(low)} and max {shown_value(high)}, expected numbers with min < max, of at most "
            f"{_MOST:.0e}"
        )
    if distribution == "int_uniform" and not is_whole:
        raise ConfigError(f"int_uniform: found min {low} and max {high}, expected whole numbers")
    if distribution == "log_uniform_values" and low <= 0:
        raise ConfigError(f"log_uniform_values: found min {low}, expected a number above 0")
    return Span(distribution=distribution, low=low, high=high)
