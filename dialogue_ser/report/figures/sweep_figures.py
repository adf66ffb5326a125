"""Figures about a sweep: the scores in the order of time, parallel coordinates, and the importance of parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dialogue_ser.report.figures.theme import Theme, themed

Place = Mapping[str, Any]


def history_figure(history: Sequence[Place], heading: str, theme: Theme = "light") -> Figure:
    """Draw the score of each trial in the order in which they ended, and the best one so far as a line.

    Args:
        history: ``number``, ``state``, ``score`` and ``best`` of each trial.
        heading: name of the metric.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(7.4, 3.2), layout="constrained")
        axes = figure.subplots()
        x = np.arange(1, len(history) + 1)
        axes.step(x, [row["best"] for row in history], where="post", color=palette["accent"], lw=2, label="best so far")
        for state, marker, colour in (("finished", "o", palette["accent"]), ("stopped", "x", palette["second"])):
            at = [index for index, row in enumerate(history) if row["state"] == state]
            if at:
                label = "a trial" if state == "finished" else "a trial that was stopped early"
                axes.scatter(x[at], [history[i]["score"] for i in at], s=22, marker=marker, color=colour, label=label)
        axes.grid(axis="y")
        axes.set_xlabel("trials in the order in which they ended")
        axes.set_ylabel(heading)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best", fontsize=8)
        return figure


def parallel_figure(
    axes_of: Sequence[tuple[str, Mapping[float, str]]],
    lines: Sequence[tuple[Sequence[float], float]],
    heading: str,
    theme: Theme = "light",
) -> Figure:
    """Draw parallel coordinates: an upright axis for each parameter, the last one for the score; a line for each trial.

    Args:
        axes_of: name and ticks (place from 0 to 1 → text) of each axis.
        lines: places of a trial on all axes, and how good it is, from 0 (worst) to 1 (best). The best come last.
        heading: name of the metric, for the bar of colours.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(max(7.4, 1.5 * len(axes_of)), 3.8), layout="constrained")
        axes = figure.subplots()
        ramp = LinearSegmentedColormap.from_list("rank", [palette["line"], palette["accent"], palette["second"]])
        paths = [[(x, place) for x, place in enumerate(places)] for places, _ in lines]
        drawn = LineCollection(paths, cmap=ramp, linewidths=[1 + 1.6 * good for _, good in lines], alpha=0.85)
        drawn.set_array(np.array([good for _, good in lines]))
        drawn.set_clim(0, 1)
        axes.add_collection(drawn)
        for x, (_, ticks) in enumerate(axes_of):
            axes.axvline(x, color=palette["soft"], linewidth=1)
            for place, text in ticks.items():
                axes.annotate(text, (x, place), xytext=(4, 2), textcoords="offset points", fontsize=7,
                              color=palette["ink"])  # fmt: skip
        axes.set_xlim(-0.1, len(axes_of) - 0.4)
        axes.set_ylim(-0.06, 1.08)
        axes.set_xticks(range(len(axes_of)), [_broken(name) for name, _ in axes_of], fontsize=8)
        axes.tick_params(length=0, colors=palette["ink"])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.7, ticks=[0, 1])
        bar.ax.set_yticklabels(["worst", "best"])
        bar.outline.set_visible(False)
        axes.set_title(heading)
        return figure


def importance_figure(importances: Mapping[str, float], theme: Theme = "light") -> Figure:
    """Draw the importance of each parameter as a bar.

    Args:
        importances: parameter → share from 0 to 1, the greatest first.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(7.4, 0.9 + 0.34 * len(importances)), layout="constrained")
        axes = figure.subplots()
        places = range(len(importances))
        axes.barh(places, list(importances.values()), color=palette["accent"], height=0.62, zorder=2)
        axes.set_yticks(places, [_short(name) for name in importances])
        axes.set_ylim(len(importances) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.tick_params(axis="y", length=0, colors=palette["ink"])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", zorder=0)
        axes.set_xlabel("share of the variance of the scores")
        return figure


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"…{name[-39:]}"


def _broken(name: str) -> str:
    """Return a name with dots on several lines, so that neighbours do not overlap."""
    return "\n".join(part if len(part) <= 18 else f"{part[:17]}…" for part in name.split("."))
