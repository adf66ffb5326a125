"""Figures about predicted values: gold against predicted, and the values of a dialogue turn by turn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.report.figures.long_dialogues import window
from dialogue_ser.report.figures.theme import Theme, themed

#: Most turns that are drawn per dimension; more dots would hide each other.
MOST_DOTS = 4000
#: Largest number of dots that are drawn in a strong colour.
FEW_DOTS = 400


def value_scatter(
    gold_NS: FloatArray,
    predicted_NS: FloatArray,
    names: Sequence[str],
    scores: Mapping[str, Mapping[str, Any]],
    theme: Theme = "light",
) -> Figure:
    """Draw gold against predicted values, one panel per dimension, with the line of agreement and a fitted line.

    Args:
        gold_NS: gold values; NaN = the turn is not annotated and is not drawn.
        predicted_NS: predicted values.
        names: names of the S dimensions.
        scores: dimension → ``ccc`` and ``pearson_r``, which the panel shows.
        theme: light or dark.
    """
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with themed(theme) as palette:
        figure = Figure(figsize=(3.1 * columns, 3.2 * rows), layout="constrained")
        panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        for s, (axes, name) in enumerate(zip(panels, names, strict=False)):
            is_known_N = np.isfinite(gold_NS[:, s])
            gold_N, predicted_N = gold_NS[is_known_N, s], predicted_NS[is_known_N, s]
            axes.set_title(name)
            axes.set_xlabel("gold")
            axes.set_ylabel("predicted")
            if not gold_N.size:
                axes.text(0.5, 0.5, "no turn is annotated", ha="center", transform=axes.transAxes)
                continue
            shown = np.linspace(0, gold_N.size - 1, min(gold_N.size, MOST_DOTS)).astype(int)
            alpha = 0.25 if shown.size > FEW_DOTS else 0.75
            axes.scatter(gold_N[shown], predicted_N[shown], s=9, alpha=alpha, color=palette["accent"], linewidths=0)
            low, high = (float(edge([gold_N, predicted_N])) for edge in (_least, _most))
            axes.plot([low, high], [low, high], color=palette["soft"], linewidth=1, linestyle=(0, (4, 3)))
            if np.ptp(gold_N) > 0:
                slope, intercept = np.polyfit(gold_N, predicted_N, 1)
                ends = np.array([gold_N.min(), gold_N.max()])
                axes.plot(ends, slope * ends + intercept, color=palette["second"], linewidth=1.6)
            value = scores[name]
            axes.text(
                0.03, 0.97, f"CCC {value['ccc']:.3f}\nr {value['pearson_r']:.3f}", va="top", transform=axes.transAxes
            )
            axes.set_aspect("equal", adjustable="datalim")
            axes.grid()
        return figure


def value_course(
    gold_TS: FloatArray,
    predicted_TS: FloatArray,
    names: Sequence[str],
    speakers: Sequence[str],
    theme: Theme = "light",
) -> Figure:
    """Draw the values of one dialogue turn by turn, one strip per dimension: gold as rings, predicted as dots.

    Of a long dialogue the turns with the largest errors are shown (:func:`shown_turns`).

    Args:
        gold_TS: gold values; NaN = the turn is not annotated.
        predicted_TS: predicted values.
        names: names of the S dimensions.
        speakers: speaker of every turn, written below it.
        theme: light or dark.
    """
    turns = shown_turns(gold_TS, predicted_TS)
    gold_TS, predicted_TS, speakers = gold_TS[turns], predicted_TS[turns], speakers[turns]
    n_turns = len(speakers)
    with themed(theme) as palette:
        figure = Figure(figsize=(max(5.2, 1.6 + 0.36 * n_turns), 0.8 + 1.25 * len(names)), layout="constrained")
        strips = np.atleast_1d(figure.subplots(len(names), 1, sharex=True))
        x = np.arange(1, n_turns + 1)
        for s, (axes, name) in enumerate(zip(strips, names, strict=True)):
            axes.plot(x, predicted_TS[:, s], color=palette["accent"], marker="o", markersize=4, linewidth=1.2,
                      label="predicted")  # fmt: skip
            axes.plot(x, gold_TS[:, s], color=palette["second"], marker="o", markersize=6, linestyle="none",
                      markerfacecolor="none", label="gold")  # fmt: skip
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            axes.grid(axis="y")
            axes.set_xlim(0.5, n_turns + 0.5)
        short = [name if len(name) <= 10 else f"{name[:9]}…" for name in speakers]
        labels = [f"{turns.start + turn}\n{name}" for turn, name in zip(x, short, strict=True)]
        strips[-1].set_xticks(x, labels, fontsize=7.5)
        strips[0].legend(loc="upper right", fontsize=8, ncols=2)
        return figure


def shown_turns(gold_TS: FloatArray, predicted_TS: FloatArray) -> slice:
    """Return the turns that :func:`value_course` shows: all, or consecutive ones with the largest sum of errors."""
    return window(np.nan_to_num(np.abs(gold_TS - predicted_TS)).sum(-1))


def _least(pieces: Sequence[FloatArray]) -> float:
    return min(float(piece.min()) for piece in pieces)


def _most(pieces: Sequence[FloatArray]) -> float:
    return max(float(piece.max()) for piece in pieces)
