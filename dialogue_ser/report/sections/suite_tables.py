"""The table of a suite, from its ``results.json``: rows for the terminal and the page, Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from dialogue_ser.foreign_text.spreadsheet_cells import guard
from dialogue_ser.report.sections.tables import (
    format_difference,
    format_interval,
    format_mean_std,
    format_score,
    render_markdown,
)

Results = Mapping[str, Any]
Rows = list[dict[str, object]]

#: Corrected p-values below it are marked with a star.
LEVEL = 0.05
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "·": r"$\cdot$",
    "Δ": r"$\Delta$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def suite_rows(results: Results) -> Rows:
    """Return one row of the table for each system and encoder: scores, comparison and costs, then F1 of each class."""
    rows: Rows = []
    classes = class_rows_of(results)
    for entry, of_classes in zip(results["rows"], classes, strict=True):
        rows.append(
            {
                **score_cells(results, entry),
                **{f"F1 {name}": text for name, text in of_classes.items() if name != "system"},
            }
        )
    return rows


def main_rows(results: Results) -> Rows:
    """Return the rows of the table without the classes."""
    return [score_cells(results, entry) for entry in results["rows"]]


def score_cells(results: Results, entry: Mapping[str, Any]) -> dict[str, object]:
    """Return the cells of one row: seeds, scores with the interval of the first one, comparison and costs."""
    several = len(entry["seeds"]) > 1
    cells: dict[str, object] = {"system": entry["label"], "seeds": len(entry["seeds"])}
    for key, heading in results["metrics"].items():
        found = entry["test"].get(key)
        cells[heading] = "–" if found is None else format_mean_std(found["mean"], found["std"] if several else None)
        if key == results["metric"]:
            span = entry["intervals"].get(key)
            cells["95 % interval"] = "–" if span is None else format_interval(span["low"], span["high"])
    cells |= _peek_cells(results, entry)
    if results["reference"]:
        cells |= _comparison_cells(results, entry)
    cost = entry["cost"]
    return cells | {
        "parameters": "–" if cost["n_parameters"] is None else f"{cost['n_parameters']:,}",
        "s/epoch": "–" if cost["seconds_per_epoch"] is None else format_score(cost["seconds_per_epoch"], 2),
        "peak memory": "–" if cost["peak_memory_bytes"] is None else f"{cost['peak_memory_bytes'] / 1e6:,.0f} MB",
    }


def class_rows_of(results: Results) -> Rows:
    """Return one row per system with F1 of every class; rows with only the system for a regression."""
    return [
        {"system": entry["label"]}
        | {
            name: format_mean_std(one["mean"], one["std"] if len(entry["seeds"]) > 1 else None, 3)
            for name, one in entry["classes"].items()
        }
        for entry in results["rows"]
    ]


def published_suite_rows(results: Results) -> Rows:
    """Return one row for each published score of the same corpus. They were not measured here."""
    return [
        {
            "published": row["document"],
            "system": row["system"],
            "reads": row["features"] or ", ".join(row["modalities"]),
            "weighted F1": _share(row["scores"].get("weighted_f1")),
            "accuracy (WA)": _share(row["scores"].get("wa")),
            "epoch chosen on": row["epoch"] or "not stated",
            "read in": row["read"],
        }
        for row in results["published"]
    ]


def tuned_rows(results: Results) -> Rows:
    """Return one row for each system that was tuned: its scores on dev, and the settings that were chosen."""
    metric = results["metric"]
    rows: Rows = []
    for entry in results["rows"]:
        tuned = entry.get("tuned")
        if tuned:
            scores = {one["trial"]: one[metric] for one in tuned["dev"]}
            heading = f"dev {results['metrics'][metric]}"
            first = scores.get(1)
            rows.append(
                {
                    "system": entry["label"],
                    "trials": len(scores),
                    f"{heading}: first trial": "–" if first is None else format_score(first),
                    "median": format_score(median(scores.values())),
                    "best": format_score(scores[tuned["chosen"]]),
                    "chosen trial": tuned["chosen"],
                    "its settings": ", ".join(f"{name}: {_short(value)}" for name, value in tuned["settings"].items())
                    or "as in the suite",
                }
            )
    return rows


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def failed_rows(results: Results) -> Rows:
    """Return one row for each run that failed, with the reason."""
    return [{"run": key, "reason": reason} for key, reason in results["failed"].items()]


def legend(results: Results) -> list[str]:
    """Return what the columns mean, one sentence each."""
    over = results["interval_over"]
    found = [
        f"Scores on {results['split']}: mean ± standard deviation over seeds. The epoch is chosen on dev."
        if results["protocol"] != "crossval"
        else "Scores on the test turns of all folds together: mean ± standard deviation over seeds.",
        f"95 % interval: the mean over seeds of {results['metrics'][results['metric']]}, when {over} are drawn again.",
    ]
    if results["reference"]:
        found.append(
            f"Δ: the difference to {results['reference']} with its paired 95 % interval, when {over} and seeds are "
            "drawn again. p: two-sided, from the same draws, corrected by Holm's method for the number of comparisons; "
            f"* = below {LEVEL}."
        )
    return [*found, *results["notes"]]


def markdown_table(results: Results) -> str:
    """Return table.md: the table, its legend, failed runs and published numbers."""
    parts = [f"# {results['name']}", render_markdown(suite_rows(results), has_words_of_users=True)]
    if results["description"]:
        parts.insert(1, results["description"])
    parts.append("\n".join(f"- {line}" for line in legend(results)))
    if tuned_rows(results):
        parts += ["## Tuning", render_markdown(tuned_rows(results), has_words_of_users=True)]
    if results["failed"]:
        parts += ["## Failed runs", render_markdown(failed_rows(results), has_words_of_users=True)]
    if results["published"]:
        parts += ["## Published numbers, not measured here", render_markdown(published_suite_rows(results))]
    return "\n\n".join(parts) + "\n"


def latex_table(results: Results) -> str:
    """Return table.tex: the measured rows as a tabular for the package booktabs, without other packages."""
    rows = suite_rows(results)
    names = list(rows[0])
    lines = [
        "% The table needs \\usepackage{booktabs}. A wide one fits with \\resizebox{\\textwidth}{!}{...}.",
        f"\\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
        "\\toprule",
        " & ".join(latex_text(name) for name in names) + " \\\\",
        "\\midrule",
        *(" & ".join(latex_text(str(row[name])) for name in names) + " \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {' '.join(line.split())}" for line in legend(results)),
    ]
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Return text in which no character has a meaning in LaTeX.

    >>> latex_text("a_b 95 %")
    'a\\\\_b 95 \\\\%'
    """
    return "".join(_LATEX.get(letter, letter) for letter in re.sub(r"\s+", " ", text))


def csv_table(results: Results) -> str:
    """Return table.csv: plain numbers, one row for each system and encoder, one column for each number."""
    rows = [_numbers(results, entry) for entry in results["rows"]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: guard(value) if isinstance(value, str) else value for name, value in row.items()})
    return text.getvalue()


def _numbers(results: Results, entry: Mapping[str, Any]) -> dict[str, object]:
    """Return the numbers of a row, column → value."""
    row: dict[str, object] = {
        "system": entry["system"], "encoder": entry["encoder"], "model": entry["model"],
        "seeds": " ".join(map(str, entry["seeds"])),
    }  # fmt: skip
    for split, scores in (("", entry["test"]), ("dev_", entry["dev"])):
        for key, value in scores.items():
            row |= {f"{split}{key}_mean": value["mean"], f"{split}{key}_std": value["std"]}
    for key, value in entry["intervals"].items():
        row |= {f"{key}_low": value["low"], f"{key}_high": value["high"]}
    for label, value in entry["classes"].items():
        row |= {f"f1_{label}_mean": value["mean"], f"f1_{label}_std": value["std"]}
    if entry.get("peek"):
        row |= {f"peek_{key}": value for key, value in entry["peek"].items() if isinstance(value, float)}
    found = entry["comparison"]
    if found is not None:
        row |= {"reference": found["reference"]}
        row |= {f"difference_{name}": found["difference"][name] for name in ("estimate", "low", "high")}
        row |= {"p_value": found["p_value"], "p_value_holm": found["p_value_holm"]}
    return row | {key: entry["cost"][key] for key in ("n_parameters", "seconds_per_epoch", "peak_memory_bytes")}


def _comparison_cells(results: Results, entry: Mapping[str, Any]) -> dict[str, object]:
    name = f"Δ to {results['reference']}"
    found = entry["comparison"]
    if found is None:
        is_reference = entry["label"] == results["reference"] or entry["system"] == results["reference"]
        return {name: "reference" if is_reference else "–", "p (Holm)": "–"}
    difference = found["difference"]
    span = format_interval(difference["low"], difference["high"]).replace("-", "−")
    star = "*" if found["p_value_holm"] < LEVEL else ""
    return {
        name: f"{format_difference(difference['estimate'])} {span}",
        "p (Holm)": f"{found['p_value_holm']:.3f}{star}",
    }


def _peek_cells(results: Results, entry: Mapping[str, Any]) -> dict[str, object]:
    """Return the score with the epoch that test would choose, and how much too high it is."""
    if results["protocol"] != "legacy-test-peek":
        return {}
    found = entry.get("peek")
    if not found:
        return {"epoch by test (too high)": "–", "gap": "–"}
    return {"epoch by test (too high)": format_score(found["mean"]), "gap": format_difference(found["gap"], 4)}


def _share(score: Mapping[str, Any] | None) -> str:
    return "–" if score is None else format_mean_std(score["value"], score["std"])


def ranked(results: Results) -> Sequence[Mapping[str, Any]]:
    """Return the rows of the results, the best mean of the compared metric first."""
    from dialogue_ser.metrics.table import METRICS

    key = results["metric"]
    sign = METRICS[key].sign if key in METRICS else 1
    return sorted(results["rows"], key=lambda entry: -sign * entry["test"][key]["mean"])
