"""Draw the attention of an encoder inside one utterance: one map per attention head."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dialogue_ser.report.figures.long_dialogues import pooled
from dialogue_ser.report.figures.theme import Theme, themed

_MOST_COLUMNS = 4
_MOST_CELLS = 400  # a map has about so many pixels along each side


@dataclass(frozen=True, kw_only=True)
class FrameMap:
    """One map.

    Args:
        name: title of the map, e.g. ``audio, head 1``.
        weights_LL: attention weights ``[steps, steps]`` from the step of the row to the step of the column. If there
            are many steps, the picture shows the highest weight of neighbouring ones.
        step_seconds: seconds from one step to the next; None = the axes count tokens or frames.
    """

    name: str
    weights_LL: "NDArray[np.floating]"
    step_seconds: float | None = None


def frame_attention(maps: Sequence[FrameMap], title: str = "", theme: Theme = "light") -> Figure:
    """Draw the maps side by side, at most four in a row.

    Each map has its own colour scale, because the weights of some heads are much higher than those of others. The rows
    are the steps that attend, the columns those that they attend to. A bright column is a moment that the whole
    utterance attends to; a bright diagonal means that moments attend to themselves.

    Args:
        maps: at least one map.
        title: title over all maps, e.g. the id of the utterance.
        theme: light or dark.
    """
    n_columns = min(len(maps), _MOST_COLUMNS)
    n_rows = math.ceil(len(maps) / n_columns)
    with themed(theme) as palette:
        figure = Figure(figsize=(1.2 + 2.7 * n_columns, 0.6 + 2.5 * n_rows), layout="constrained")
        grid = np.atleast_1d(figure.subplots(n_rows, n_columns, squeeze=False)).ravel()
        ramp = LinearSegmentedColormap.from_list("weight", [palette["paper"], palette["accent"]])
        for axes, one in zip(grid, maps, strict=False):
            unit, step = ("seconds", one.step_seconds) if one.step_seconds else ("step", 1.0)
            end = len(one.weights_LL) * step
            weights, _ = pooled(one.weights_LL, _MOST_CELLS)
            image = axes.imshow(
                weights,
                cmap=ramp,
                vmin=0.0,
                vmax=max(float(weights.max()), 1e-9),
                extent=(0.0, end, end, 0.0),
                interpolation="nearest",
            )
            axes.set_title(one.name)
            axes.set_xlabel(f"attention to, {unit}")
            axes.set_ylabel(f"attention from, {unit}")
            axes.locator_params(nbins=5)
            figure.colorbar(image, ax=axes, shrink=0.7)
        for axes in grid[len(maps) :]:
            axes.set_axis_off()
        if title:
            figure.suptitle(title)
        return figure
