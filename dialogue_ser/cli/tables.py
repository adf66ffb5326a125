"""Tables that commands print, made with rich, e.g. of scores with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dialogue_ser.errors import shown_problems
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.report.sections.tables import format_score, shown_metrics
from dialogue_ser.tasks import task_of_scores


def scores_table(scores: Mapping[str, Any]) -> Table:
    """Return a table with one row per split and one column per metric, each score with its interval over dialogues.

    Args:
        scores: the content of ``scores.json``.
    """
    default = task_of_scores(scores).default_metric
    level = next((part["intervals"][default]["level"] for part in scores["splits"].values()), 0.95)
    table = Table(
        title=f"{escape(scores['run'])}: scores with {level:.0%} intervals over dialogues", title_justify="left"
    )
    table.add_column("split")
    shown = {key: name for part in scores["splits"].values() for key, name in shown_metrics(scores, part).items()}
    for heading in ("dialogues", "turns", *shown.values()):
        table.add_column(escape(heading), justify="right")
    for split, part in scores["splits"].items():
        cells = [
            interval_text(part["intervals"][key])
            if key in part["intervals"]
            else format_score(part["scores"].get(key), 3)
            for key in shown
        ]
        table.add_row(escape(split), str(part["counts"]["dialogues"]), str(part["counts"]["labelled"]), *cells)
    masked = {modality: count for modality, count in scores.get("masked", {}).items() if count}
    if masked:
        counts = ", ".join(f"{modality} {count}" for modality, count in masked.items())
        table.caption = (
            f"turns without usable media or features in a modality, over all splits; they are still scored: {counts}"
        )
    return table


def show_notes(scores: Mapping[str, Any]) -> None:
    """Print the notes that help to understand the scores, one per line.

    Args:
        scores: the content of ``scores.json``.
    """
    for note in shown_problems(scores.get("notes", ())):
        print(f"note: {note}")


def interval_text(interval: Mapping[str, float]) -> str:
    """Return a score and its interval as text.

    >>> interval_text({"estimate": 0.5871, "low": 0.5699, "high": 0.6032})
    '0.587 [0.570, 0.603]'
    """
    return f"{interval['estimate']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


class VisibleConsole(Console):
    """Writes the control characters in all texts as escapes. Names and labels come from files of others."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return the text with its markup as rich shows it."""
        return super().render_str(visible(text), **settings)


def show(table: Table) -> None:
    """Print a table to standard output. A pipe or a file gets lines of up to 160 characters."""
    console = VisibleConsole()
    if not console.is_terminal:
        console = VisibleConsole(width=160)
    console.print(table)


def show_list(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines: one row for each thing, its name first."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    show(table)
