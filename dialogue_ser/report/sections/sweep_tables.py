"""Tables and sentences about a sweep, from its ``results.json``, for the terminal and for the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.sections.tables import format_score

Rows = list[dict[str, object]]
Results = Mapping[str, Any]

#: State of a trial → the word for it.
STATES = {
    "finished": "finished", "stopped": "stopped early", "failed": "failed", "running": "running",
    "waiting": "waiting to be continued",
}  # fmt: skip
#: A curve in the terminal has at most this many columns.
_COLUMNS = 48
_BARS = "▁▂▃▄▅▆▇█"
_LONGEST = 32


def scored(results: Results) -> list[Mapping[str, Any]]:
    """Return the trials with a score, the best first. Of equal ones the earlier is first."""
    sign = -1 if results["goal"] == "maximize" else 1
    found = [trial for trial in results["trials"] if trial["score"] is not None]
    return sorted(found, key=lambda trial: (sign * trial["score"], trial["number"]))


def heading(results: Results) -> str:
    """Return the name of the metric for people."""
    key = str(results["metric"]).removeprefix("dev/")
    return f"{heading_of(key)} on dev" if key not in ("loss", "dev_loss") else "loss on dev"


def best_rows(results: Results, most: int | None = None) -> Rows:
    """Return one row for each of the best trials."""
    rows: Rows = []
    for trial in scored(results)[:most]:
        row: dict[str, object] = {"trial": str(trial["number"]), heading(results): format_score(trial["score"])}
        if results["seeds"] > 1 and len(trial["scores"] or ()) > 1:
            row["seeds"] = ", ".join(format_score(score, 3) for score in trial["scores"])
        row |= {name: shown_value(trial["values"].get(name)) for name in results["varying"]}
        row["epoch"] = "" if trial["best_epoch"] is None else str(trial["best_epoch"])
        row["seconds"] = "" if trial["seconds"] is None else f"{trial['seconds']:.0f}"
        row["state"] = STATES[trial["state"]]
        if trial["state"] == "stopped":
            row["state"] = f"stopped early after epoch {trial['stopped_epoch']}"
        rows.append(row)
    return rows


def failed_rows(results: Results) -> Rows:
    """Return one row for each failed trial, with the reason and its settings."""
    return [
        {
            "trial": str(trial["number"]),
            "reason": str(trial["reason"] or "unknown"),
            **{name: shown_value(trial["values"].get(name)) for name in results["varying"]},
        }
        for trial in results["trials"]
        if trial["state"] == "failed"
    ]


def importance_rows(results: Results) -> Rows:
    """Return one row for each parameter, with its share of the variance of the scores."""
    return [
        {"parameter": name, "importance": f"{share:.2f}", "": "█" * round(20 * share)}
        for name, share in results["importances"].items()
    ]


def history_rows(results: Results) -> Rows:
    """Return the scores in the order in which the trials ended, and the best one so far, as two lines of bars."""
    history = results["history"]
    if not history:
        return []
    values = np.array([[row["score"], row["best"]] for row in history], dtype=float)
    low, high = float(values.min()), float(values.max())
    rows: Rows = []
    for name, column in (("score", 0), ("best so far", 1)):
        chosen = _thinned(values[:, column])
        rows.append(
            {"": name, "in the order in which trials ended": "".join(_bar(value, low, high) for value in chosen)}
        )
    rows[0]["range"] = f"{format_score(low)} to {format_score(high)}"
    return rows


def coordinate_rows(results: Results) -> Rows:
    """Return parallel coordinates as text: one row for each parameter, with the mean score along its axis.

    The axis is cut into some parts. A high bar means that trials in this part are good; a dot, that there is none.
    """
    trials = scored(results)
    rows: Rows = []
    for name in results["varying"]:
        axis = Axis.of([trial["values"].get(name) for trial in trials])
        if axis is None:
            continue
        parts: list[list[float]] = [[] for _ in range(axis.n_parts)]
        for trial in trials:
            parts[axis.part(trial["values"].get(name))].append(trial["score"])
        means = [float(np.mean(part)) if part else None for part in parts]
        known = [mean for mean in means if mean is not None]
        good = [-mean for mean in known] if results["goal"] == "minimize" else known
        ranks = dict(zip(known, good, strict=True))
        bars = "".join("·" if mean is None else _bar(ranks[mean], min(good), max(good)) for mean in means)
        best = trials[0]["values"].get(name)
        rows.append(
            {"parameter": name, "from": axis.first, "mean score": bars, "to": axis.last, "best": shown_value(best)}
        )
    return rows


class Axis:
    """The axis of a parameter: places from 0 to 1.

    Args:
        ticks: place → text, for all values of a list; only the ends for numbers.
        place: function from a value to its place.
        n_parts: number of parts for bars.
    """

    def __init__(self, ticks: Mapping[float, str], place: Any, n_parts: int) -> None:
        self.ticks, self.place, self.n_parts = ticks, place, n_parts

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Axis | None":
        """Return the axis that fits some values; None if there are none.

        It is logarithmic if the values reach over more than a factor of 50.
        """
        if not values:
            return None
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        distinct = sorted(set(map(shown_value, values)))
        if len(numbers) < len(values) or len(set(numbers)) <= 6:
            ordered = sorted(set(numbers)) if len(numbers) == len(values) else None
            names = distinct if ordered is None else [shown_value(number) for number in ordered]
            last = max(len(names) - 1, 1)
            places = {name: index / last for index, name in enumerate(names)}
            ticks = {place: name for name, place in places.items()}
            return cls(ticks, lambda value: places.get(shown_value(value), 0.0), len(names))
        low, high = float(min(numbers)), float(max(numbers))
        is_log = low > 0 and high / low > 50

        def place(value: Any) -> float:
            if not isinstance(value, int | float):
                return 0.0
            if is_log:
                return float(np.log(max(float(value), low) / low) / np.log(high / low))
            return (float(value) - low) / (high - low)

        return cls({0.0: shown_value(low), 1.0: shown_value(high)}, place, 16)

    @property
    def first(self) -> str:
        """The text at its beginning."""
        return self.ticks[min(self.ticks)]

    @property
    def last(self) -> str:
        """The text at its end."""
        return self.ticks[max(self.ticks)]

    def part(self, value: Any) -> int:
        """Return the part in which a value lies."""
        return min(int(self.place(value) * self.n_parts), self.n_parts - 1)


def sentences(results: Results) -> list[str]:
    """Return the result in a few sentences."""
    counts = results["counts"]
    states = ", ".join(f"{counts[state]} {word}" for state, word in STATES.items() if counts.get(state))
    lines = [f"{len(results['trials'])} trials: {states or 'none has begun'}."]
    trials = scored(results)
    if trials:
        first = trials[0]
        values = ", ".join(f"{name} {shown_value(first['values'].get(name))}" for name in results["varying"])
        lines.insert(
            0, f"Trial {first['number']} is the best: {heading(results)} {format_score(first['score'])}; {values}."
        )
    saved = results["saved_epochs"]
    if counts.get("stopped") and saved["planned"]:
        share = saved["saved"] / saved["planned"]
        lines.append(f"early_terminate saved {saved['saved']} of {saved['planned']} epochs ({share:.0%}).")
    if trials and not results["importances"] and results["varying"]:
        lines.append("There are too few different scores to say how important each parameter is.")
    return lines


def caution(results: Results) -> str:
    """Return what must be known before the best score is used."""
    return (
        f"The best of {len(results['history'])} trials looks better on dev than it is, because dev chose it. Train its "
        "settings with further seeds, and report test."
    )


def shown_value(value: Any) -> str:
    """Return a value of a parameter as text.

    >>> shown_value(0.00012345678), shown_value([1, "a"]), shown_value(True)
    ('0.00012346', '[1, "a"]', 'true')
    """
    if isinstance(value, float):
        return f"{value:.5g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _bar(value: float, low: float, high: float) -> str:
    share = 1.0 if high <= low else (value - low) / (high - low)
    return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]


def _thinned(values: Any) -> list[float]:
    """Return at most as many values as the terminal has room for."""
    if len(values) <= _COLUMNS:
        return [float(value) for value in values]
    return [float(values[int(index)]) for index in np.linspace(0, len(values) - 1, _COLUMNS)]
