"""Figures about a suite: scores with intervals, differences to the reference, F1 of the classes, scores and sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.report.figures.theme import Theme, ink_on, themed

Entry = Mapping[str, Any]


def system_dots(rows: Sequence[Entry], metric: str, heading: str, theme: Theme = "light") -> Figure:
    """Draw the mean of a metric over seeds with its interval, and the value of each seed.

    Args:
        rows: the rows of ``results.json``, from top to bottom.
        metric: key of the metric.
        heading: its heading.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(7.4, 1.1 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, row in enumerate(rows):
            found, span = row["test"][metric], row["intervals"].get(metric)
            if span is not None:
                axes.plot([span["low"], span["high"]], [y, y], color=palette["accent"], lw=2.4, alpha=0.55, zorder=2)
            axes.scatter(found["values"], [y] * len(found["values"]), s=16, color=palette["soft"], zorder=3)
            axes.scatter([found["mean"]], [y], s=46, color=palette["accent"], zorder=4)
        _name_rows(axes, rows, palette)
        axes.set_xlabel(f"{heading}: mean (large), seeds (small), interval (line)")
        return figure


def difference_dots(rows: Sequence[Entry], reference: str, heading: str, theme: Theme = "light") -> Figure:
    """Draw the difference of every row to the reference with its interval.

    Args:
        rows: rows that have a comparison, from top to bottom.
        reference: label of the reference.
        heading: heading of the metric.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(7.4, 1.1 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=palette["soft"], linewidth=1, linestyle=(0, (4, 3)))
        for y, row in enumerate(rows):
            found = row["comparison"]
            colour = palette["second"] if found["is_significant"] else palette["accent"]
            difference = found["difference"]
            axes.plot([difference["low"], difference["high"]], [y, y], color=colour, lw=2.4, alpha=0.6, zorder=2)
            axes.scatter([difference["estimate"]], [y], s=46, color=colour, zorder=4)
        _name_rows(axes, rows, palette)
        axes.set_xlabel(f"difference to {reference} in {heading}, with its paired interval")
        return figure


def class_map(rows: Sequence[Entry], labels: Sequence[str], theme: Theme = "light") -> Figure:
    """Draw the mean F1 of every class and row as colours and numbers.

    Args:
        rows: the rows of ``results.json``, from top to bottom.
        labels: the classes.
        theme: light or dark.
    """
    values = np.array([[row["classes"][label]["mean"] for label in labels] for row in rows])
    return heat_map(values, [str(row["label"]) for row in rows], labels, theme)


def heat_map(
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    theme: Theme = "light",
    *,
    with_numbers: bool = True,
) -> Figure:
    """Draw numbers from 0 to 1 as colours and as text.

    Args:
        values: the numbers, row × column; NaN = there is none.
        rows: the names of the rows, from top to bottom.
        columns: the names of the columns.
        theme: light or dark.
        with_numbers: whether to write the numbers. Hundreds of them take seconds. Without them the colours reach from
            the lowest to the highest number, and a bar says what they mean.
    """
    with themed(theme) as palette:
        width, height = (0.8, 0.36) if with_numbers else (0.24, 0.24)
        size = (2.6 + width * len(columns), 1.2 + height * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        ramp = LinearSegmentedColormap.from_list("share", [palette["paper"], palette["accent"]])
        known = values[np.isfinite(values)]
        low, high = (0.0, 1.0) if with_numbers or not known.size else (float(known.min()), float(known.max()))
        image = axes.imshow(np.where(np.isnan(values), low, values), cmap=ramp, vmin=low, vmax=high, aspect="auto")
        if not with_numbers:  # a bar says what the colours mean
            figure.colorbar(image, ax=axes, shrink=0.8).outline.set_visible(False)
        for y, x in np.ndindex(*values.shape) if with_numbers else ():
            ink = ink_on(to_hex(ramp(float(np.nan_to_num(values[y, x])))))
            text = f"{values[y, x]:.3f}" if np.isfinite(values[y, x]) else "–"
            # The layout need not measure the numbers: they lie inside the axes, and there may be thousands.
            axes.text(x, y, text, ha="center", va="center", fontsize=8, color=ink, in_layout=False)
        angle = 30 if with_numbers else 60
        axes.set_xticks(range(len(columns)), [_short(name) for name in columns], rotation=angle, ha="right",
                        rotation_mode="anchor")  # fmt: skip
        axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
        axes.tick_params(length=0, colors=palette["ink"])
        axes.spines[:].set_visible(False)
        return figure


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def cost_scatter(rows: Sequence[Entry], metric: str, heading: str, theme: Theme = "light") -> Figure:
    """Draw the score of every row over the time of an epoch.

    Args:
        rows: rows whose time is known.
        metric: key of the metric.
        heading: its heading.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(7.4, 3.6), layout="constrained")
        axes = figure.subplots()
        x = [row["cost"]["seconds_per_epoch"] for row in rows]
        y = [row["test"][metric]["mean"] for row in rows]
        axes.scatter(x, y, s=40, color=palette["accent"], zorder=3)
        for row, x_one, y_one in zip(rows, x, y, strict=True):
            axes.annotate(str(row["label"]), (x_one, y_one), xytext=(5, 4), textcoords="offset points", fontsize=8,
                          color=palette["ink"])  # fmt: skip
        axes.grid(zorder=0)
        axes.margins(0.15)
        axes.set_xlabel("seconds for one epoch (median)")
        axes.set_ylabel(heading)
        return figure


def _name_rows(axes: Any, rows: Sequence[Entry], palette: Mapping[str, str]) -> None:
    axes.set_yticks(range(len(rows)), [str(row["label"]) for row in rows])
    axes.tick_params(axis="y", length=0, colors=palette["ink"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", zorder=0)
