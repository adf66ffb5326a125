"""Rows of tables, and the formats of numbers, for markdown, the terminal (rich) and the templates of pages."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.metrics.table import METRICS, heading_of
from dialogue_ser.tasks import task_of_scores

Row = Mapping[str, object]

_NUMBERS = re.compile(r"[\d\s.,%+−–±\[\]-]*")
_MARKDOWN = re.compile(r"([\\\\`*\[\]|])")


def format_score(value: float | None, digits: int = 4) -> str:
    """Return a score as text, or an en dash if there is none.

    >>> format_score(0.58461), format_score(None)
    ('0.5846', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def format_mean_std(mean: float, std: float | None, digits: int = 4) -> str:
    """Return mean ± sample standard deviation as text, or the mean alone if std is None (one seed).

    >>> format_mean_std(0.58461, 0.0031), format_mean_std(0.58461, None)
    ('0.5846 ± 0.0031', '0.5846')
    """
    return format_score(mean, digits) if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def format_interval(low: float, high: float, digits: int = 3) -> str:
    """Return the bounds of an interval as text.

    >>> format_interval(0.5612, 0.603)
    '[0.561, 0.603]'
    """
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def format_difference(value: float, digits: int = 3) -> str:
    """Return a difference as text, with its sign; the minus is a real minus sign.

    >>> format_difference(-0.0042), format_difference(0.02)
    ('−0.004', '+0.020')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def peek_warnings(scores: Mapping[str, Any]) -> list[str]:
    """Return a sentence about the epoch that test would have chosen; none without ``legacy_test_peek`` in the scores.

    >>> peek = {"split": "test", "epoch": 7, "kept_epoch": 4, "gap": 0.0123, "select": "weighted_f1"}
    >>> peek_warnings({"legacy_test_peek": peek})[0].split(". ")[0]
    'legacy-test-peek: test itself would have chosen epoch 7 instead of 4, which has a weighted F1 that is 0.012 better'
    """
    peek = scores.get("legacy_test_peek") or {}
    if peek.get("gap") is None:
        return []
    split, epoch, kept = peek["split"], peek["epoch"], peek["kept_epoch"]
    if epoch == kept:
        return [f"legacy-test-peek: {split} itself would have chosen the same epoch."]
    better = f"a {heading_of(peek['select'])} that is {format_score(peek['gap'], 3)} better"
    return [
        f"legacy-test-peek: {split} itself would have chosen epoch {epoch} instead of {kept}, which has {better}. All "
        f"scores here are those of epoch {kept}, which the run keeps."
    ]


def columns_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return all column names of the rows in the order of their first appearance."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def render_markdown(
    rows: Sequence[Row], columns: Sequence[str] | None = None, *, has_words_of_users: bool = False
) -> str:
    """Return a GitHub markdown table. Numbers are right-aligned, pipes are escaped, and floats have four digits.

    Args:
        rows: one mapping per row, column name → value. A value with ``mean`` and ``std`` is shown as mean ± std.
        columns: the columns in their order; None = all, in the order of :func:`columns_of`.
        has_words_of_users: show cells and headings as they are, without a meaning in markdown or HTML, because they
            may be labels or names from a corpus (:func:`markdown_text`).

    >>> print(render_markdown([{"system": "majority", "weighted F1": 0.313}]))
    | system | weighted F1 |
    |:--|--:|
    | majority | 0.3130 |
    """
    names = columns_of(rows) if columns is None else tuple(columns)
    numeric = numeric_columns(rows, names)
    escape = markdown_text if has_words_of_users else _escape_pipe
    head = ["| " + " | ".join(escape(name) for name in names) + " |"]
    head.append("|" + "|".join("--:" if name in numeric else ":--" for name in names) + "|")
    body = ["| " + " | ".join(escape(cell_text(row.get(name))) for name in names) + " |" for row in rows]
    return "\n".join(head + body)


def markdown_text(text: object) -> str:
    """Return text in one line that a markdown page shows as it is: it makes no tag, link, picture, heading or table.

    >>> markdown_text("<script> [a](b) | `c`")
    '&lt;script&gt; \\\\[a\\\\](b) \\\\| \\\\`c\\\\`'
    >>> markdown_text("−0.004 [0.561, 0.603]")
    '−0.004 [0.561, 0.603]'
    """
    line = " ".join(str(text).split())
    if _NUMBERS.fullmatch(line):
        return line
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))


def render_rich(rows: Sequence[Row], columns: Sequence[str] | None = None, title: str | None = None) -> Table:
    """Return a rich table for the terminal."""
    from rich.text import Text

    names = columns_of(rows) if columns is None else tuple(columns)
    numeric = numeric_columns(rows, names)
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(Text(visible(name)), justify="right" if name in numeric else "left", overflow="fold")
    for row in rows:
        # Text instead of str, because rich would read a label in square brackets as markup.
        table.add_row(*(Text(visible(cell_text(row.get(name)))) for name in names))
    return table


def split_rows(scores: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return one row per split of ``scores.json``: counts, shown metrics, interval of the default metric, and ECE."""
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
    """Return key → heading of the metrics in a table: headline metrics, micro F1 if used, and the user's own ones.

    Args:
        scores: the content of ``scores.json``.
        split: one of its splits.
    """
    task = task_of_scores(scores)
    library = task.metrics()
    user_metrics = [key for key, value in split["scores"].items() if key not in METRICS and isinstance(value, float)]
    keys = [*task.headline, *(key for key in ("micro_f1",) if key in split["scores"] and key in library), *user_metrics]
    return {key: library[key].heading if key in library else heading_in(scores, key) for key in keys}


def heading_in(scores: Mapping[str, Any], key: str) -> str:
    """Return the heading of a user's own metric from ``scores.json``: its function may be missing on this machine."""
    return str((scores.get("headings") or {}).get(key, heading_of(key)))


def dimension_rows(scores: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return one row per dimension: turns and every metric of values with its interval; the last row is the mean.

    Args:
        scores: scores of one split, or over all folds.
        intervals: dimension → metric → interval; the intervals of the means have the key "".
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
    """Return one row per class: precision, recall, F1 with interval, F0.5 and AUC if known, and counts of turns.

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
    """Return a row for the run and one per floor: the headline metrics, and by how much the run is better.

    Args:
        scores: the content of ``scores.json``.
        split: one of its splits.
        run: name of the run in the table.
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
            | {"this run is better by": text.replace("-", "−")}
        )
    return rows


def cell_text(value: object) -> str:
    """Return the text of one cell."""
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
    """Return the columns that contain only numbers, intervals and blanks; they are right-aligned."""

    def is_number(value: object) -> bool:
        text = cell_text(value)
        return text in ("", "–") or text[:1].isdigit() or (text[:1] in "+−-[" and any(c.isdigit() for c in text))

    return {name for name in names if rows and all(is_number(row.get(name)) for row in rows)}


def _escape_pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
