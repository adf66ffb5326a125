"""Figures about classes: training curves, confusion matrix, F1 per class, ROC, folds, reliability.

Every function takes plain values and a theme and returns a Figure. No screen is needed.
:mod:`~dialogue_ser.report.figures.timeline` draws dialogues.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dialogue_ser.metrics.roc import RocCurve, macro_auc
from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.figures.theme import SPARE_COLOURS, Theme, colours_of, ink_on, themed


def training_curves(
    epochs: Sequence[Mapping[str, Any]], best_epoch: int | None, metric: str = "weighted_f1", theme: Theme = "light"
) -> Figure:
    """Draw loss and score of train and dev per epoch, and mark the chosen epoch. Auxiliary losses are dotted lines.

    Args:
        epochs: the lines of metrics.jsonl that describe an epoch.
        best_epoch: epoch whose checkpoint was kept; None = mark none.
        metric: the score on dev that chose the epoch.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(10.2, 3.1), layout="constrained")
        loss, score = figure.subplots(1, 2)
        loss.set_title("Loss")
        heading = heading_of(metric)
        score.set_title(heading[:1].upper() + heading[1:])
        lines = (
            (loss, [e.get("train_loss") for e in epochs], "train", "soft"),
            (loss, [e.get("dev_loss") for e in epochs], "dev", "accent"),
            (score, [(e.get("train") or {}).get(metric) for e in epochs], "train", "soft"),
            (score, [(e.get("dev") or {}).get(metric) for e in epochs], "dev", "accent"),
        )
        x = [int(e["epoch"]) for e in epochs]
        for axes, values, name, colour in lines:
            _line(axes, x, values, name, palette[colour])
        names = dict.fromkeys(name for e in epochs for name in e.get("auxiliary") or ())
        for name, colour in zip(names, cycle(SPARE_COLOURS), strict=False):
            values = [(e.get("auxiliary") or {}).get(name) for e in epochs]
            _line(loss, x, values, f"train, {name}", colour, linestyle=":")
        for axes in (loss, score):
            if best_epoch is not None:
                axes.axvline(best_epoch, color=palette["second"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axes.grid(axis="y")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.margins(x=0.04)
        _mark_best(score, epochs, best_epoch, metric, palette["second"])
        for axes in (loss, score):
            if axes.lines:
                axes.legend(loc="best", fontsize=8)
        return figure


def _line(
    axes: Axes, x: Sequence[int], values: Sequence[float | None], name: str, colour: str, linestyle: str = "-"
) -> None:
    y = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if np.isfinite(y).any():
        size = 3 if len(x) <= 40 else 0
        axes.plot(x, y, label=name, color=colour, linewidth=1.8, linestyle=linestyle, marker="o", markersize=size)


def _mark_best(axes: Axes, epochs: Sequence[Mapping[str, Any]], best: int | None, metric: str, colour: str) -> None:
    value = next(((e.get("dev") or {}).get(metric) for e in epochs if e["epoch"] == best), None)
    if best is None or value is None:
        return
    label = f"epoch {best}: {value:.3f}"  # shown in the legend, because text next to the star would cover the curve
    axes.plot([best], [value], marker="*", markersize=12, color=colour, linestyle="none", zorder=5, label=label)


def confusion_heat_map(confusion: Sequence[Sequence[int]], labels: Sequence[str], theme: Theme = "light") -> Figure:
    """Draw a confusion matrix ``[C, C]``, rows = gold classes: per cent of the row as colour and text, counts below."""
    counts = np.asarray(confusion, dtype=np.float64)
    support = counts.sum(1, keepdims=True)
    share = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    n = len(labels)
    with themed(theme) as palette:
        side = 1.6 + 0.72 * n
        figure = Figure(figsize=(side + 0.4, side - 0.3), layout="constrained")
        axes = figure.subplots()
        ramp = LinearSegmentedColormap.from_list("share", [palette["paper"], palette["accent"]])
        axes.imshow(share, cmap=ramp, vmin=0, vmax=1, aspect="equal")
        for i, j in np.ndindex(n, n):
            if counts[i, j]:
                colour = ink_on(to_hex(ramp(share[i, j])))
                axes.text(j, i - 0.1, f"{share[i, j]:.0%}", ha="center", va="center", color=colour, fontsize=9,
                          fontweight="bold" if i == j else "normal")  # fmt: skip
                axes.text(j, i + 0.24, f"{counts[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=6.5)
        axes.set_xticks(range(n), labels, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), [f"{name}  ({s:.0f})" for name, s in zip(labels, support[:, 0], strict=True)])
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=palette["line"])
        axes.tick_params(which="both", length=0, colors=palette["ink"])
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold (turns)")
        return figure


def class_bars(
    per_class: Mapping[str, Mapping[str, Any]],
    intervals: Mapping[str, Mapping[str, float]],
    theme: Theme = "light",
    over: str = "dialogues",
) -> Figure:
    """Draw F1 per class with its interval; the number of gold turns is shown next to the name.

    Args:
        per_class: label → f1 and support, as in ``scores.json``.
        intervals: label → low and high of F1; may be empty.
        theme: light or dark.
        over: what was resampled for the intervals, e.g. dialogues.
    """
    labels = list(per_class)
    colours = colours_of(labels)
    with themed(theme) as palette:
        figure = Figure(figsize=(6.2, 0.9 + 0.52 * len(labels)), layout="constrained")
        axes = figure.subplots()
        for y, label in enumerate(labels):
            value = per_class[label]
            axes.barh(y, value["f1"], color=colours[label], height=0.62, zorder=2)
            if label in intervals:
                axes.plot([intervals[label]["low"], intervals[label]["high"]], [y, y], color=palette["ink"], lw=1.2,
                          zorder=4, solid_capstyle="butt")  # fmt: skip
            axes.text(1.02, y, f"{value['f1']:.3f}", va="center", fontsize=9, fontweight="bold", color=palette["ink"])
        axes.set_yticks(range(len(labels)), [f"{label}  ({per_class[label]['support']})" for label in labels])
        axes.tick_params(axis="y", length=0, colors=palette["ink"])
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.grid(axis="x", zorder=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"F1, with its interval over {over}")
        return figure


def roc_figure(curves: Mapping[str, RocCurve | None], theme: Theme = "light") -> Figure:
    """Draw the ROC curve of every class against the rest. A class without a curve (None) is only in the legend."""
    colours = colours_of(list(curves))
    with themed(theme) as palette:
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=palette["soft"], linewidth=1, linestyle=(0, (4, 3)), label="chance 0.500")
        for label, curve in curves.items():
            if curve is None:
                axes.plot([], [], color=colours[label], linewidth=1.8, label=f"{label} –")
                continue
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=colours[label], linewidth=1.8,
                      label=f"{label} {curve.auc:.3f}")  # fmt: skip
        mean = macro_auc(curves)
        axes.set_title("" if mean is None else f"One class against the rest, mean area {mean:.3f}")
        axes.set_aspect("equal")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.grid()
        axes.set_xlabel("false alarms: share of the turns of other classes")
        axes.set_ylabel("found: share of the turns of the class")
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside right center", fontsize=9, title="area under the curve"
        )
        return figure


def fold_dots(
    folds: Sequence[Mapping[str, Any]],
    metric: str,
    over_all_folds: float,
    chance: Mapping[str, float],
    theme: Theme = "light",
) -> Figure:
    """Draw a metric of every fold on test and on dev, its value over all folds, and the value of guessing.

    Args:
        folds: the folds in ``scores.json``; each has its name, the metric on test, and its scores on dev.
        metric: key of the metric.
        over_all_folds: value of the metric on the test turns of all folds together.
        chance: name → value of a system that guesses; may be empty.
        theme: light or dark.
    """
    with themed(theme) as palette:
        figure = Figure(figsize=(6.6, 1.3 + 0.3 * len(folds)), layout="constrained")
        axes = figure.subplots()
        y = list(range(len(folds)))
        for name, value in chance.items():
            axes.axvline(value, color=palette["soft"], linewidth=1, linestyle=(0, (1, 3)), label=f"{name} {value:.3f}")
        axes.axvline(
            over_all_folds,
            color=palette["second"],
            linewidth=1.2,
            linestyle=(0, (4, 3)),
            label=f"over all folds {over_all_folds:.3f}",
        )
        dev, test = [fold["dev"][metric] for fold in folds], [fold[metric] for fold in folds]
        axes.scatter(dev, y, s=26, facecolors="none", edgecolors=palette["soft"], zorder=3, clip_on=False,
                     label="dev (used to choose)")  # fmt: skip
        axes.scatter(test, y, s=36, color=palette["accent"], zorder=4, clip_on=False, label="test")
        axes.set_yticks(y, [str(fold["name"]) for fold in folds])
        axes.tick_params(axis="y", length=0, colors=palette["ink"])
        axes.set_xlim(min(0.0, *dev, *test), max(1.0, *dev, *test))
        axes.set_ylim(len(folds) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_xlabel(heading_of(metric))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return figure


def reliability_diagram(calibration: Mapping[str, Any], theme: Theme = "light") -> Figure:
    """Draw the accuracy per bin of confidence, the gap between both, and the number of turns in each bin."""
    bins = calibration["bins"]
    width = 1 / len(bins)
    filled = [b for b in bins if b["n"]]
    with themed(theme) as palette:
        figure = Figure(figsize=(4.6, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        upper.plot([0, 1], [0, 1], color=palette["soft"], linewidth=1, linestyle=(0, (4, 3)))
        for b in filled:
            centre = (b["low"] + b["high"]) / 2
            upper.bar(centre, b["accuracy"], width * 0.92, color=palette["accent"], alpha=0.85, zorder=2)
            low, high = sorted((b["accuracy"], b["confidence"]))
            upper.bar(centre, high - low, width * 0.92, bottom=low, color="none", edgecolor=palette["second"],
                      hatch="////", linewidth=0, zorder=3)  # fmt: skip
            lower.bar(centre, b["n"], width * 0.92, color=palette["soft"], alpha=0.7)
        upper.set_ylim(0, 1)
        upper.set_xlim(0, 1)
        upper.set_ylabel("share of right predictions")
        upper.text(0.03, 0.94, f"ECE {calibration['ece']:.3f}", fontweight="bold", fontsize=11, va="top")
        upper.text(0.03, 0.86, "hatched: difference to the confidence", fontsize=8, va="top", color=palette["second"])
        upper.grid(zorder=0)
        lower.set_ylabel("turns")
        lower.set_xlabel("confidence (probability of the predicted class)")
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return figure
