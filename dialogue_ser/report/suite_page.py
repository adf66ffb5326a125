"""Write the tables and the page of a suite from its ``results.json``."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import MissingDataError
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.figures.suite_figures import class_map, cost_scatter, difference_dots, system_dots
from dialogue_ser.report.html import render_page
from dialogue_ser.report.sections import suite_tables as tables
from dialogue_ser.report.sections.composition import Section
from dialogue_ser.report.sections.tables import format_difference, format_interval, format_mean_std
from dialogue_ser.runs.run_files import read_json

#: More rows than this are not drawn; the table has all of them.
MOST_DRAWN = 80
#: Page of the error analysis inside the folder of the suite. The page of the suite links to it.
ANALYSIS = "errors/index.html"


def write_suite_report(folder: Path) -> Path:
    """Write ``table.md``, ``table.tex``, ``table.csv``, ``figures/`` and ``index.html`` of a suite.

    Args:
        folder: folder of the suite, with ``results.json``.

    Returns:
        the path of ``index.html``.

    Raises:
        MissingDataError: there are no results.
    """
    results = read_json(folder / "results.json")
    if results.get("kind") != "suite":
        raise MissingDataError(f"{folder}: has no results of a suite; run dialogue-ser benchmark SUITE.yaml --out DIR")
    write_atomically(folder / "table.md", tables.markdown_table(results))
    write_atomically(folder / "table.tex", tables.latex_table(results))
    write_atomically(folder / "table.csv", tables.csv_table(results))
    gallery = Gallery()
    sections = _sections(results, gallery, ANALYSIS if (folder / ANALYSIS).is_file() else "")
    page = render_page(results["name"], _subtitle(results), sections)
    gallery.write(folder / "figures")
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def verdict(results: Mapping[str, Any]) -> str:
    """Return the result in two or three sentences."""
    best = tables.ranked(results)[0]
    heading, found = results["metrics"][results["metric"]], best["test"][results["metric"]]
    text = f"{best['label']} has the best {heading}: "
    text += format_mean_std(found["mean"], found["std"] if len(best["seeds"]) > 1 else None, 4)
    span = best["intervals"].get(results["metric"])
    text += f", 95 % interval {format_interval(span['low'], span['high'])}." if span else "."
    compared = [row for row in results["rows"] if row["comparison"]]
    if compared:
        sure = [row for row in compared if row["comparison"]["is_significant"]]
        names = ", ".join(
            f"{row['label']} ({format_difference(row['comparison']['difference']['estimate'])})" for row in sure
        )
        number = f"{len(compared)} comparison{'s' if len(compared) > 1 else ''}"
        text += (
            f" Corrected for {number}, these differ from {results['reference']}: {names}."
            if sure
            else f" Corrected for {number}, no system differs from {results['reference']} with certainty."
        )
    return text


def cautions(results: Mapping[str, Any]) -> list[str]:
    """Return warnings that must be known before the numbers are used."""
    found = []
    if results["protocol"] == "legacy-test-peek":
        found.append(
            "legacy-test-peek: the column of the epoch that test would choose is too high, because test chose it. Do "
            "not publish it as a score. It shows by how much this habit raises a score."
        )
    if results["failed"]:
        number = len(results["failed"])
        found.append(f"{number} run{'s' if number > 1 else ''} failed; the table has the others.")
    return found


def _subtitle(results: Mapping[str, Any]) -> str:
    seeds = results["seeds"]
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return " · ".join(part for part in (results["description"], f"protocol {results['protocol']}", named) if part)


def _sections(results: Mapping[str, Any], gallery: Gallery, analysis: str) -> dict[str, Section]:
    """Return the sections of the page: result, table, classes, cost, tuning, failed runs, published numbers."""
    metric, heading = results["metric"], results["metrics"][results["metric"]]
    rows = list(tables.ranked(results))[:MOST_DRAWN]
    compared = [row for row in rows if row["comparison"]]
    timed = [row for row in rows if row["cost"]["seconds_per_epoch"] is not None]
    pictures = [gallery.draw("systems", partial(system_dots, rows, metric, heading), f"{heading} of every system")]
    if compared:
        draw = partial(difference_dots, compared, results["reference"], heading)
        pictures.append(gallery.draw("differences", draw, f"difference of every system to {results['reference']}"))
    context = {"verdict": verdict(results), "warnings": cautions(results), "pictures": pictures, "analysis": analysis}
    found = {
        "result": Section(template="suite_result", context=context),
        "table": _table("The table", tables.main_rows(results), legend=tables.legend(results)),
    }
    if results["labels"]:
        picture = gallery.draw("classes", partial(class_map, rows, results["labels"]), "F1 of every class and system")
        found["classes"] = _table("F1 of each class", tables.class_rows_of(results), pictures=[picture])
    if timed:
        picture = gallery.draw("cost", partial(cost_scatter, timed, metric, heading), f"{heading} and time of an epoch")
        found["cost"] = _table("Score and cost", [], pictures=[picture])
    if tables.tuned_rows(results):
        found["tuning"] = _table("Tuning on dev", tables.tuned_rows(results))
    if results["failed"]:
        found["failed"] = _table("Failed runs", tables.failed_rows(results))
    if results["published"]:
        lines = [
            "These numbers were not measured here. Features, epochs and details differ. A score whose epoch was chosen "
            "on test is too high."
        ]
        found["published"] = _table("Published numbers", tables.published_suite_rows(results), legend=lines)
    return found


def _table(title: str, rows: tables.Rows, **context: Any) -> Section:
    return Section(
        template="suite_table", context={"title": title, "rows": rows, "legend": [], "pictures": [], **context}
    )
