"""Where things stand on the line of scores beside the headline; the template ``macros.html.j2`` draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

LEFT, RIGHT = 40, 680
#: The run's name is kept this far from both ends, so that it is not cut off.
TEXT_MARGIN = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A place on the line with its text.

    Args:
        x: from the left, in units of a drawing that is 720 wide.
        y: of the text's foot, from the top.
        text: what stands there.
    """

    x: float
    y: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruler:
    """A line with the run's score, its interval, and the floors below it; x as in :class:`Mark`.

    Args:
        ticks: every tenth of the scale.
        marks: the floors, lowest first, each lower down than the one before.
        run: the run.
        run_text_x: the middle of the run's text.
        low: left end of the interval.
        high: right end of the interval.
        height: of the drawing.
        label: the same in words.
    """

    ticks: tuple[Mark, ...]
    marks: tuple[Mark, ...]
    run: Mark
    run_text_x: float
    low: float
    high: float
    height: int
    label: str


def ruler(run: str, interval: Mapping[str, float], floors: Mapping[str, float]) -> Ruler:
    """Place a run and its floors on a scale that shows all of them.

    Args:
        run: what the run is called.
        interval: its ``estimate``, ``low`` and ``high``.
        floors: name → score.
    """
    values = [interval["low"], interval["high"], interval["estimate"], *floors.values()]
    low = floor((min(values) - 0.03) * 10) / 10
    high = ceil((max(values) + 0.03) * 10) / 10
    if min(values) >= 0:
        low = max(0.0, low)
    if max(values) <= 1:
        high = min(1.0, high)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / max(high - low, 1e-9)

    ticks, tick = [], low
    while tick <= high + 1e-9:
        ticks.append(Mark(x=x(tick), y=78, text=f"{tick:.1f}"))
        tick += 0.1
    ordered = sorted(floors.items(), key=lambda item: item[1])
    marks = [Mark(x=x(value), y=100 + 18 * i, text=f"{name} {value:.3f}") for i, (name, value) in enumerate(ordered)]
    estimate = interval["estimate"]
    return Ruler(
        ticks=tuple(ticks),
        marks=tuple(marks),
        run=Mark(x=x(estimate), y=34, text=f"{run} {estimate:.3f}"),
        run_text_x=min(max(x(estimate), TEXT_MARGIN), 720 - TEXT_MARGIN),
        low=x(interval["low"]),
        high=x(interval["high"]),
        height=100 + 18 * len(marks),
        label=f"{run} {estimate:.3f}, floors " + ", ".join(f"{name} {value:.3f}" for name, value in floors.items()),
    )
