"""Stop trials early by the rule of Weights & Biases (``early_terminate``).

Source: the stopping rule of Weights & Biases sweeps. It compares each trial with all others at a few numbers of rows,
the bands. It is not the algorithm of the article whose name it has: no trials wait for each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, Literal

Goal = Literal["minimize", "maximize"]
#: min_iter gives so many bands; more have no effect.
MOST_BANDS = 100
_MOST_ROWS = 10**15


@dataclass(frozen=True, kw_only=True)
class Hyperband:
    """The rule and its settings: either ``min_iter``, or ``max_iter`` and ``s``.

    An iteration is one logged value of the metric, e.g. one epoch. It is not the number of a step.

    Args:
        min_iter: the first band. The others follow by multiplication with ``eta``.
        max_iter: number of iterations of a whole trial. The bands follow by division by ``eta``.
        s: number of bands below ``max_iter``.
        eta: of the trials at a band, about one of ``eta`` goes on; more than 1.
        strict: compare the value at the band. False = compare the best value so far, which stops fewer trials.
            The pages of Weights & Biases say that False is the default. Their code says True, and so does this library.
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = True

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """The numbers of iterations after which trials are compared, in rising order."""
        found = []
        if self.max_iter is not None:
            band: float = self.max_iter
            for _ in range(self.s or 0):
                band /= self.eta
                if band < 1:
                    break
                found.append(int(band))
        elif self.min_iter is not None:
            band = self.min_iter
            for _ in range(MOST_BANDS):
                found.append(int(band))
                band *= self.eta
                if isinstance(band, float) and band > _MOST_ROWS:  # no trial has so many rows
                    break
        return tuple(sorted(found))

    def should_stop(self, own: Sequence[Any], others: Sequence[Sequence[Any]], goal: Goal) -> bool:
        """Return whether a running trial is stopped.

        A trial is at a band when it has logged more values than the band says: band 2 looks at the third value, because
        the rows are counted from 0. Values that are not finite, and values that are no numbers, are left out.

        Args:
            own: the values of the metric that the trial has logged so far, in their order.
            others: those of all other trials of the sweep: running, finished, stopped and failed.
            goal: whether small or great values are good.
        """
        history = _valid(own, goal)
        reached = [band for band in self.bands if band < len(history)]
        if not reached:
            return False
        band = reached[-1]
        at_band = sorted(one[band] for one in (history, *(_valid(other, goal) for other in others)) if len(one) > band)
        threshold = at_band[int((1.0 / self.eta) * len(at_band))] if at_band else math.inf
        value = history[band] if self.strict else min(history)
        return value > threshold


def _valid(values: Sequence[Any], goal: Goal) -> list[float]:
    """Return the finite numbers, with the sign that makes small values good."""
    sign = -1.0 if goal == "maximize" else 1.0
    return [
        sign * float(value)
        for value in values
        if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    ]
