"""What tuning draws: the settings of each trial. A parameter is written as in a sweep of Weights & Biases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dialogue_ser.search_space.draw import share_of
from dialogue_ser.search_space.shapes import Shape


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
    parameters: Mapping[str, Shape] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Shape]] = field(default_factory=dict)

    def of(self, system: str) -> dict[str, Shape]:
        """Return the parameters of a system."""
        return {**self.parameters, **self.own.get(system, {})}

    def draw(self, name: str, parameter: Shape, trial: int) -> Any:
        """Return the value of a setting in a trial.

        It depends on the seed, the trial and the name of the setting only, so all systems try the same learning rates.

        Args:
            name: the setting.
            parameter: what it may be.
            trial: number of the trial, from 1.
        """
        return parameter.at(share_of(name, self.seed, trial))
