"""Positions on the line of scores next to the headline. The template ``macros.html.j2`` draws the line."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

LEFT, RIGHT = 40, 680
#: Least distance of the run's name from both ends of the drawing, so that it is not cut off.
TEXT_MARGIN = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A position on the line with a text.

    Args:
        x: distance from the left; the whole drawing is 720 units wide.
        y: distance of the lower edge of the text from the top.
        text: the text.
    """

    x: float
    y: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruler:
    """A line with the run's score, its interval, and the floors below it. Horizontal positions are as in :class:`Mark`.

    Args:
        ticks: marks at every tenth of the scale.
        marks: the floors, lowest score first; each text is below the one before.
        run: the run.
        run_text_x: horizontal position of the middle of the run's text.
        low: horizontal position of the interval's left end.
        high: horizontal position of the interval's right end.
        height: height of the drawing.
        label: text that says the same as the drawing.
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
    """Return the positions of a run and its floors on a scale that contains all of them.

    Args:
        run: name of the run in the drawing.
        interval: ``estimate``, ``low`` and ``high`` of the run's score.
        floors: name of a floor → its score.
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
