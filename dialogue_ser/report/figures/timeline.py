"""The emotion timeline of one dialogue: turns in a lane per speaker, probabilities, and attention between turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyBboxPatch, Patch, Rectangle

from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import ClassPredictions
from dialogue_ser.metrics.slices import SHIFTS, emotion_shift
from dialogue_ser.report.figures.long_dialogues import pooled, window
from dialogue_ser.report.figures.theme import Theme, colours_of, ink_on, themed

INCHES_PER_TURN = 0.44
MOST_ARCS_PER_TURN = 2
LEAST_ARC_WEIGHT = 0.15
#: Rows of a map of attention that have a label. More turns make the rows lower, not the picture larger.
MOST_ROWS = 40


@dataclass(frozen=True, kw_only=True)
class DialogueView:
    """What is drawn of one dialogue of T turns.

    Args:
        split: split that the dialogue belongs to.
        dialogue_id: id of the dialogue.
        speakers: speaker of every turn, ``[T]``.
        texts: transcript of every turn, ``[T]``; "" if there is none.
        gold: gold label of every turn, ``[T]``; None if it has none.
        predicted: predicted label of every turn, ``[T]``.
        probabilities_TC: class probabilities.
        labels: all classes.
        attention: name → weights ``[T, T]`` from the turn of the row to the turn of the column; may be empty.
        n_before: number of turns of the dialogue before the first of these, if they are a part of it.
    """

    split: str
    dialogue_id: str
    speakers: tuple[str, ...]
    texts: tuple[str, ...]
    gold: tuple[str | None, ...]
    predicted: tuple[str, ...]
    probabilities_TC: FloatArray
    labels: tuple[str, ...]
    attention: Mapping[str, FloatArray]
    n_before: int = 0

    def __len__(self) -> int:
        return len(self.speakers)

    @property
    def n_right(self) -> int:
        """The number of turns whose predicted label is the gold label."""
        return sum(g is not None and g == p for g, p in zip(self.gold, self.predicted, strict=True))

    @property
    def n_labelled(self) -> int:
        """The number of turns with a gold label."""
        return sum(g is not None for g in self.gold)

    def shown_part(self) -> "DialogueView":
        """Return the part that a timeline shows: all turns, or the MOST_TURNS turns with the most emotion shifts."""
        classes = {label: c for c, label in enumerate(self.labels)}
        gold_T = np.array([-1 if label is None else classes.get(label, -1) for label in self.gold], dtype=np.int64)
        shifts = emotion_shift(gold_T, np.zeros_like(gold_T), self.speakers) == SHIFTS[0]
        turns = window(shifts.astype(np.float64))
        return replace(
            self,
            speakers=self.speakers[turns],
            texts=self.texts[turns],
            gold=self.gold[turns],
            predicted=self.predicted[turns],
            probabilities_TC=self.probabilities_TC[turns],
            attention={name: weights[turns, turns] for name, weights in self.attention.items()},
            n_before=self.n_before + turns.start,
        )

    def attended_turns(self, turn: int) -> list[tuple[int, float]]:
        """Return the other turns that a turn attends to most, as (index, weight), the highest weight first.

        The weight is the highest one over all named attentions. There are at most MOST_ARCS_PER_TURN turns, all with a
        weight of at least LEAST_ARC_WEIGHT.
        """
        rows = [np.nan_to_num(weights[turn]) for weights in self.attention.values()]
        rows = [row for row in rows if row.sum() > 0]
        if not rows:
            return []
        # The forward attention sees only the past and the backward one only the future, so their mean would halve both.
        strongest = np.max(rows, axis=0)
        order = [int(i) for i in np.argsort(-strongest, kind="stable") if i != turn][:MOST_ARCS_PER_TURN]
        return [(i, float(strongest[i])) for i in order if strongest[i] >= LEAST_ARC_WEIGHT]


def dialogue_view(
    predictions: ClassPredictions, dialogue_id: str, attention: Mapping[str, FloatArray] | None = None
) -> DialogueView:
    """Return the view of one dialogue in the predictions of one split. Attention of a wrong size is left out."""
    rows = predictions.frame["dialogue_id"].astype(str) == dialogue_id
    frame, n_turns = predictions.frame[rows], int(rows.sum())
    fitting = {name: w for name, w in (attention or {}).items() if w.shape == (n_turns, n_turns)}
    known: list[Any] = frame["gold"].astype(object).where(frame["gold"].notna(), None).tolist()
    return DialogueView(
        split=str(frame["split"].iloc[0]),
        dialogue_id=dialogue_id,
        speakers=tuple(str(name) for name in frame["speaker"]),
        texts=tuple(str(text) for text in frame["text"].fillna("")),
        gold=tuple(None if value is None else str(value) for value in known),
        predicted=tuple(str(name) for name in frame["predicted"]),
        probabilities_TC=predictions.probabilities_NC[rows.to_numpy()],
        labels=predictions.labels,
        attention=fitting,
    )


def emotion_timeline(view: DialogueView, theme: Theme = "light") -> Figure:
    """Draw attention as arcs, the turns as tiles in a lane per speaker, and the class probabilities as bars.

    A tile shows the predicted label, and the gold label too if it differs. The figure gets wider with the number of
    turns, up to MOST_TURNS: of a longer dialogue it shows :meth:`DialogueView.shown_part`.
    """
    view = view.shown_part()
    n_turns, names = len(view), list(dict.fromkeys(view.speakers))
    has_arcs = any(view.attended_turns(turn) for turn in range(n_turns))
    heights = [0.95 if has_arcs else 0.05, 0.46 * len(names) + 0.1, 1.15]
    with themed(theme) as palette:
        width = max(6.2, 1.5 + INCHES_PER_TURN * n_turns)
        figure = Figure(figsize=(width, sum(heights) + 0.95))
        grid = figure.add_gridspec(3, 1, height_ratios=heights, hspace=0.06, left=1.25 / width, right=0.99,
                                   top=0.98, bottom=0.72 / (sum(heights) + 0.95))  # fmt: skip
        arcs, lanes, bars = (figure.add_subplot(grid[i]) for i in range(3))
        # Turns have the same size in every dialogue; after a short dialogue the rest of the line is empty.
        right = max(n_turns, int((width - 1.5) / INCHES_PER_TURN)) + 0.5
        for axes in (arcs, lanes, bars):
            axes.set_xlim(0.5, right)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        _draw_arcs(arcs, view, palette)
        _draw_lanes(lanes, view, names, palette)
        _draw_probabilities(bars, view, palette)
        colours = colours_of(view.labels)
        handles = [Patch(color=colours[label], label=label) for label in view.labels]
        figure.legend(handles=handles, loc="lower left", ncols=len(handles), fontsize=8, handlelength=1,
                      handleheight=1, columnspacing=1.1, bbox_to_anchor=(0.0, 0.02))  # fmt: skip
        return figure


def _draw_arcs(axes: Axes, view: DialogueView, palette: Mapping[str, str]) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xticks([])
    pairs = [(turn, i, weight) for turn in range(len(view)) for i, weight in view.attended_turns(turn)]
    longest = max((abs(turn - i) for turn, i, _ in pairs), default=1)
    for turn, i, weight in pairs:
        span = abs(turn - i)
        # The square root keeps a short arc visible beside one that spans the whole dialogue.
        height = 1.8 * (span / longest) ** 0.5
        axes.add_patch(
            Arc(
                ((turn + i) / 2 + 1, 0),
                span,
                height,
                theta1=0,
                theta2=180,
                linewidth=0.7 + 2.6 * weight,
                color=palette["accent" if i < turn else "second"],
                alpha=0.25 + 0.7 * min(1.0, weight),
            )
        )
    if pairs:
        axes.set_ylabel("attention", rotation=0, ha="right", va="center", fontsize=8)


def _draw_lanes(axes: Axes, view: DialogueView, names: Sequence[str], palette: Mapping[str, str]) -> None:
    colours = colours_of(view.labels)
    for lane in range(len(names)):
        axes.axhline(lane, color=palette["line"], linewidth=1, zorder=1)
    for turn, (speaker, gold, predicted) in enumerate(zip(view.speakers, view.gold, view.predicted, strict=True)):
        x, y = turn + 1, names.index(speaker)
        differs = gold is not None and gold != predicted
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.36, y - 0.34),
                0.72,
                0.68,
                boxstyle="round,pad=0,rounding_size=0.08",
                zorder=3,
                facecolor=colours[predicted],
                edgecolor=palette["ink"] if differs else "none",
                linewidth=1.3,
                linestyle="-" if gold is not None else ":",
            )
        )
        axes.text(x, y - (0.13 if differs else 0), _abbreviated(predicted), ha="center", va="center", fontsize=6.5,
                  color=ink_on(colours[predicted]), zorder=5)  # fmt: skip
        if differs:
            assert gold is not None
            axes.add_patch(Rectangle((x - 0.33, y + 0.03), 0.66, 0.27, facecolor=colours[gold], zorder=4))
            axes.text(x, y + 0.165, _abbreviated(gold), ha="center", va="center", fontsize=6.5, zorder=5,
                      color=ink_on(colours[gold]), fontweight="bold")  # fmt: skip
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [name if len(name) <= 14 else name[:13] + "…" for name in names])
    axes.tick_params(axis="y", colors=palette["ink"], labelsize=9)
    axes.set_xticks([])


def _draw_probabilities(axes: Axes, view: DialogueView, palette: Mapping[str, str]) -> None:
    colours = colours_of(view.labels)
    x = np.arange(1, len(view) + 1)
    bottom = np.zeros(len(view))
    for c, label in enumerate(view.labels):
        p_T = view.probabilities_TC[:, c]
        axes.bar(x, p_T, 0.72, bottom=bottom, color=colours[label], zorder=2)
        for turn in (i for i, gold in enumerate(view.gold) if gold == label != view.predicted[i]):
            axes.add_patch(Rectangle((x[turn] - 0.36, bottom[turn]), 0.72, p_T[turn], fill=False, zorder=4,
                                     edgecolor=palette["ink"], linewidth=1.2))  # fmt: skip
        bottom += p_T
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.set_ylabel(
        "probability\n(box: missed\ngold class)", rotation=0, ha="right", va="center", fontsize=8, labelpad=16
    )
    axes.set_xticks(x, [str(view.n_before + i) for i in x], fontsize=7.5)


def attention_heat_map(view: DialogueView, name: str, theme: Theme = "light") -> Figure:
    """Draw one named attention as a map ``[T, T]``: from the turn of the row to the turn of the column.

    With many turns, a cell of the map stands for several turns and has their highest weight.
    """
    weights, n_per_cell = pooled(view.attention[name])
    n_turns, n_cells = len(view), len(weights)
    with themed(theme) as palette:
        side = 1.4 + 0.26 * min(n_turns, MOST_ROWS)
        figure = Figure(figsize=(side + 1.0, side), layout="constrained")
        axes = figure.subplots()
        ramp = LinearSegmentedColormap.from_list("weight", [palette["paper"], palette["accent"]])
        image = axes.imshow(weights, cmap=ramp, vmin=0, vmax=max(float(np.nanmax(weights)), 1e-9))
        cells = range(0, n_cells, -(-n_cells // MOST_ROWS))
        axes.set_xticks(cells, [str(cell * n_per_cell + 1) for cell in cells], fontsize=7)
        rows = [f"{view.speakers[cell * n_per_cell][:12]} {cell * n_per_cell + 1}" for cell in cells]
        axes.set_yticks(cells, rows, fontsize=7)
        of_cell = f" (a cell is the highest weight of {n_per_cell} × {n_per_cell} turns)" if n_per_cell > 1 else ""
        axes.set_xlabel(f"attention to turn{of_cell}")
        axes.set_title(f"Attention: {name}")
        figure.colorbar(image, ax=axes, shrink=0.7)
        return figure


def _abbreviated(label: str) -> str:
    return label[:3]
