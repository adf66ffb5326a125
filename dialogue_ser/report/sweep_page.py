"""Write the page of a sweep from its ``results.json``."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import MissingDataError
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.figures.sweep_figures import history_figure, importance_figure, parallel_figure
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections import sweep_tables as tables
from dialogue_ser.report.sections.composition import Section
from dialogue_ser.runs.run_files import read_json

#: The table has so many of the best trials, and the parallel coordinates so many lines.
MOST_ROWS, MOST_LINES = 200, 400


def write_sweep_report(folder: Path) -> Path:
    """Write ``figures/`` and ``index.html`` of a sweep.

    Args:
        folder: folder of the sweep, with ``results.json``.

    Returns:
        the path of ``index.html``. The page has no script and loads nothing.

    Raises:
        MissingDataError: there are no results.
    """
    results = read_json(folder / "results.json")
    if results.get("kind") != "sweep":
        raise MissingDataError(f"{folder}: has no results of a sweep; run dialogue-ser sweep show FILE")
    gallery = Gallery()
    seeds = f"{results['seeds']} seeds" if results["seeds"] > 1 else ""
    parts = (results["description"], f"method {results['method']}", f"{results['goal']} {results['metric']}", seeds)
    page = render_page(results["name"], " · ".join(part for part in parts if part), _sections(results, gallery))
    gallery.write(folder / "figures")
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def _sections(results: Mapping[str, Any], gallery: Gallery) -> dict[str, Section]:
    heading, trials = tables.heading(results), tables.scored(results)
    first, *others = tables.sentences(results)
    pictures = []
    if results["history"]:
        draw = partial(history_figure, results["history"], heading)
        pictures.append(gallery.draw("history", draw, f"{heading} of each trial, and the best one so far"))
    warnings = [tables.caution(results)] if len(trials) > 1 else []
    context = {"verdict": " ".join([first, *others]), "warnings": warnings, "pictures": pictures, "analysis": ""}
    found = {"result": Section(template="suite_result", context=context)}
    if trials:
        shown = f"The best {MOST_ROWS} of {len(trials)} trials." if len(trials) > MOST_ROWS else ""
        legend = [line for line in (shown, "The epoch is the one that dev chose.") if line]
        found["trials"] = _table("Best trials", tables.best_rows(results, MOST_ROWS), legend=legend)
    if results["importances"]:
        alt = "importance of each parameter: " + ", ".join(
            f"{name} {share:.2f}" for name, share in results["importances"].items()
        )
        picture = gallery.draw("importances", partial(importance_figure, results["importances"]), alt)
        line = (
            "Shares of the variance of the scores that each parameter explains (fANOVA with a random forest). A trial "
            "that was stopped early counts with its best score so far."
        )
        found["importances"] = _table("Importance of the parameters", [], pictures=[picture], legend=[line])
    if len(trials) > 1 and results["varying"]:
        picture = gallery.draw("parallel", partial(_parallel, results), f"settings of every trial and its {heading}")
        rows = tables.coordinate_rows(results)
        found["coordinates"] = _table("Parallel coordinates", rows, pictures=[picture])
    if tables.failed_rows(results):
        found["failed"] = _table("Failed trials", tables.failed_rows(results))
    return found


def _parallel(results: Mapping[str, Any], theme: Any = "light") -> Any:
    """Draw the parallel coordinates of the best trials."""
    trials = tables.scored(results)[:MOST_LINES]
    names = [*results["varying"]]
    axes = {name: tables.Axis.of([trial["values"].get(name) for trial in trials]) for name in names}
    scores = [trial["score"] for trial in trials]
    low, high = min(scores), max(scores)
    last = max(len(trials) - 1, 1)
    lines = []
    for rank, trial in enumerate(trials):
        places = [axis.place(trial["values"].get(name)) for name, axis in axes.items() if axis is not None]
        score = 0.5 if high <= low else (trial["score"] - low) / (high - low)
        lines.append(([*places, score], 1 - rank / last))
    heading = tables.heading(results)
    ticks = [(name, axis.ticks) for name, axis in axes.items() if axis is not None]
    ends = {0.0: f"{low:.4f}", 1.0: f"{high:.4f}"} if high > low else {0.5: f"{low:.4f}"}
    ticks.append((heading, ends))
    return parallel_figure(ticks, lines[::-1], heading, theme)


def _table(title: str, rows: tables.Rows, **context: Any) -> Section:
    values = {"title": title, "rows": rows, "legend": [], "pictures": [], **context}
    return Section(template="suite_table", context=values)
