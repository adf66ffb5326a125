"""Tables of cold starts, rendered by ``benchmarks.tables``: processes and encoding, before and after."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown

AGES = ("before", "after")
FIGURES = {"cpu": "processor", "wall": "clock"}


def _least(figure: Mapping[str, float]) -> str:
    return f"{figure['min']:.2f} ({figure['median']:.2f})"


@register_renderer("startup-commands")
def commands(folder: Path) -> str:
    """Whole processes, before and after."""
    result = read_result(folder, "startup.json")
    rows = [
        {
            "command": f"`{row['command']}`",
            **{f"{key}, {what} s": _least(row[key][figure]) for figure, what in FIGURES.items() for key in AGES},
        }
        for row in result["commands"]
    ]
    machine, versions, revisions = (result[name] for name in ("machine", "versions", "revisions"))
    n_runs = len(result["commands"][0]["after"]["cpu"]["all"])
    return (
        f"{render_markdown(rows)}\n\nThe least of {n_runs} runs, and their median in brackets; load average "
        f"{machine['load_average_before']:.1f} at first, {machine['load_average_after']:.1f} in the end. Before is "
        f"revision {revisions['before']}, after {revisions['after']}. {machine['line']}; torch {versions['torch']}, "
        f"transformers {versions['transformers']}. `{result['command']}`"
    )


@register_renderer("startup-encoding")
def encoding(folder: Path) -> str:
    """MiniLM's utterances per second, before and after."""
    rows = []
    for row in read_result(folder, "startup.json")["encoding"]:
        n = row["after"]["n"]["min"]
        rates = {
            f"{key}, utterances/s of {what} time": f"{n / row[key][figure]['min']:.0f}"
            for figure, what in FIGURES.items()
            for key in AGES
        }
        rows.append({"threads": str(row["threads"]), "utterances": str(n), **rates})
    return render_markdown(rows)
