"""Tables for people: one place that formats numbers, for markdown, rich and the templates of pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.tasks import task_of_scores

Row = Mapping[str, object]


def format_score(value: float | None, digits: int = 4) -> str:
    """A score; an en dash where there is none.

    >>> format_score(0.58461), format_score(None)
    ('0.5846', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def format_mean_std(mean: float, std: float | None, digits: int = 4) -> str:
    """Mean ± sample standard deviation; the mean alone where there is one seed (std None).

    >>> format_mean_std(0.58461, 0.0031), format_mean_std(0.58461, None)
    ('0.5846 ± 0.0031', '0.5846')
    """
    return format_score(mean, digits) if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def format_interval(low: float, high: float, digits: int = 3) -> str:
    """Both bounds.

    >>> format_interval(0.5612, 0.603)
    '[0.561, 0.603]'
    """
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def format_difference(value: float, digits: int = 3) -> str:
    """A signed difference, with a real minus sign.

    >>> format_difference(-0.0042), format_difference(0.02)
    ('−0.004', '+0.020')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def columns_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Column names in order of first appearance over all rows."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def render_markdown(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """A GitHub table; numbers are right-aligned, pipes in cells escaped, floats given four digits.

    Args:
        rows: one mapping a row, column name to value (a mapping with ``mean`` and ``std`` is shown as mean ± std).
        columns: which, in which order; None = all, as they first appear.

    >>> print(render_markdown([{"system": "majority", "weighted F1": 0.313}]))
    | system | weighted F1 |
    |:--|--:|
    | majority | 0.3130 |
    """
    names = columns_of(rows) if columns is None else tuple(columns)
    numeric = numeric_columns(rows, names)
    head = ["| " + " | ".join(_escape_pipe(name) for name in names) + " |"]
    head.append("|" + "|".join("--:" if name in numeric else ":--" for name in names) + "|")
    body = ["| " + " | ".join(_escape_pipe(cell_text(row.get(name))) for name in names) + " |" for row in rows]
    return "\n".join(head + body)


def render_rich(rows: Sequence[Row], columns: Sequence[str] | None = None, title: str | None = None) -> Table:
    """A rich table for the terminal."""
    from rich.text import Text

    names = columns_of(rows) if columns is None else tuple(columns)
    numeric = numeric_columns(rows, names)
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(Text(name), justify="right" if name in numeric else "left", overflow="fold")
    for row in rows:
        # Text, not str: a label in square brackets is no markup.
        table.add_row(*(Text(cell_text(row.get(name))) for name in names))
    return table


def split_rows(scores: Mapping[str, Any]) -> list[dict[str, object]]:
    """One row a split of ``scores.json``: its headline metrics, what was asked for beside them, the interval of the
    default metric, ECE where there is calibration, and counts.
    """
    task = task_of_scores(scores)
    rows: list[dict[str, object]] = []
    for split, value in scores["splits"].items():
        interval = value["intervals"][task.default_metric]
        span = f"{interval['level']:.0%} interval of {heading_of(task.default_metric)}"
        rows.append(
            {"split": split, "turns": value["scores"]["n"], "dialogues": value["counts"]["dialogues"]}
            | {heading: format_score(value["scores"][key]) for key, heading in shown_metrics(scores, value).items()}
            | {span: format_interval(interval["low"], interval["high"])}
            | ({"ECE": format_score(value["calibration"]["ece"], 3)} if "calibration" in value else {})
        )
    return rows


def shown_metrics(scores: Mapping[str, Any], split: Mapping[str, Any]) -> dict[str, str]:
    """Key → heading of the metrics that narrow tables show: the headline, micro F1 where classes are left out, and
    metrics of the user's own.

    Args:
        scores: the content of ``scores.json``.
        split: one of its splits.
    """
    task = task_of_scores(scores)
    library = task.metrics()
    own = [key for key, value in split["scores"].items() if key not in METRICS and isinstance(value, float)]
    keys = [*task.headline, *(key for key in ("micro_f1",) if key in split["scores"] and key in library), *own]
    return {key: library[key].heading if key in library else own_heading(scores, key) for key in keys}


def own_heading(scores: Mapping[str, Any], key: str) -> str:
    """What a metric of the user is called: its heading stands in ``scores.json``, its function may not be here."""
    return str((scores.get("headings") or {}).get(key, heading_of(key)))


def dimension_rows(scores: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[dict[str, object]]:
    """One row a dimension: turns and every metric of values with its interval, then their mean.

    Args:
        scores: of one split, or pooled.
        intervals: dimension → metric → interval, and metric → interval of the means under "".
    """
    rows: list[dict[str, object]] = []
    for name, value in {**scores["per_dimension"], "": scores}.items():
        spans = intervals.get(name, {})
        rows.append(
            {"dimension": name or "mean", "turns": value["n"]}
            | {
                METRICS[key].heading: format_score(value[key], 3)
                + (f" {format_interval(spans[key]['low'], spans[key]['high'])}" if key in spans else "")
                for key in METRICS
                if METRICS[key].needs == "moments" and key in value
            }
        )
    return rows


def class_rows(split: Mapping[str, Any]) -> list[dict[str, object]]:
    """One row a class: precision, recall, F1 with interval, support; F0.5 and AUC where they are known.

    Args:
        split: one split of ``scores.json``.
    """
    intervals = split.get("class_intervals", {})
    more = {"f05": "F0.5", "auc": "AUC"}
    return [
        {
            "class": label,
            "precision": format_score(value["precision"], 3),
            "recall": format_score(value["recall"], 3),
            "F1": format_score(value["f1"], 3),
            "interval": format_interval(intervals[label]["low"], intervals[label]["high"])
            if label in intervals
            else "–",
            **{name: format_score(value[key], 3) for key, name in more.items() if key in value},
            "gold turns": value["support"],
            "predicted": value["predicted"],
        }
        for label, value in split["scores"]["per_class"].items()
    ]


def floor_rows(scores: Mapping[str, Any], split: Mapping[str, Any], run: str) -> list[dict[str, object]]:
    """The run and the floors under it: the headline metrics, and the run's lead in the default one with its interval.

    Args:
        scores: the content of ``scores.json``.
        split: one of its splits.
        run: what the run is called.
    """
    names = {key: heading_of(key) for key in task_of_scores(scores).headline}
    rows: list[dict[str, object]] = [
        {"system": run, **{name: format_score(split["scores"][key]) for key, name in names.items()}}
    ]
    for floor, value in split.get("floors", {}).items():
        lead = value["difference"]
        text = f"{format_difference(lead['estimate'])} {format_interval(lead['low'], lead['high'])}"
        rows.append(
            {"system": floor}
            | {name: format_score(value[key]) for key, name in names.items()}
            | {"this run leads by": text.replace("-", "−")}
        )
    return rows


def cell_text(value: object) -> str:
    """Text of one cell."""
    if value is None:
        return "–"
    if isinstance(value, Mapping) and "mean" in value:
        return format_mean_std(value["mean"], value.get("std"))
    if isinstance(value, float):
        return format_score(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def numeric_columns(rows: Sequence[Row], names: Sequence[str]) -> set[str]:
    """The columns that hold nothing but numbers, intervals and blanks: they are right-aligned."""

    def is_number(value: object) -> bool:
        text = cell_text(value)
        return text in ("", "–") or text[:1].isdigit() or (text[:1] in "+−-[" and any(c.isdigit() for c in text))

    return {name for name in names if rows and all(is_number(row.get(name)) for row in rows)}


def _escape_pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
