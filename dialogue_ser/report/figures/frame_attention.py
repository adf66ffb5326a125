"""What an encoder attends to inside one utterance, drawn: a map per head."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.report.figures.theme import Theme, themed

_MOST_COLUMNS = 4


@dataclass(frozen=True, kw_only=True)
class FrameMap:
    """One panel.

    Args:
        name: over the panel, e.g. ``audio, head 1``.
        weights_LL: ``[steps, steps]``, row looks at column.
        step_seconds: from step to step; None = the axes count tokens or frames.
    """

    name: str
    weights_LL: FloatArray
    step_seconds: float | None = None


def frame_attention(maps: Sequence[FrameMap], title: str = "", theme: Theme = "light") -> Figure:
    """The maps side by side, at most four in a row, each with its own scale of colours: heads differ in sharpness.

    Time runs to the right for what is looked at and downwards for what looks, in seconds where they are known. A bright
    column is a moment that the whole utterance looks at; a bright diagonal, moments that look at themselves.

    Args:
        maps: at least one.
        title: over all of them, e.g. the utterance.
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
            image = axes.imshow(
                one.weights_LL,
                cmap=ramp,
                vmin=0.0,
                vmax=max(float(one.weights_LL.max()), 1e-9),
                extent=(0.0, end, end, 0.0),
                interpolation="nearest",
            )
            axes.set_title(one.name)
            axes.set_xlabel(f"looked at, {unit}")
            axes.set_ylabel(f"looks, {unit}")
            axes.locator_params(nbins=5)
            figure.colorbar(image, ax=axes, shrink=0.7)
        for axes in grid[len(maps) :]:
            axes.set_axis_off()
        if title:
            figure.suptitle(title)
        return figure
