"""The table of published implementations in docs/results.md, rendered by ``benchmarks.tables``."""

from pathlib import Path

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


@register_renderer("golden")
def golden(folder: Path) -> str:
    """Worst differences of every configuration from the published implementation."""
    result = read_result(folder, "golden.json")
    rows = [
        {
            "system": row["system"],
            "configuration": row["configuration"],
            "log-probabilities": _number(row["difference"]),
            "gradient norms": _number(row["gradient_difference"]),
            "equal": "yes" if row["is_equal"] else "no",
        }
        for row in result["rows"]
    ]
    n_equal = sum(row["is_equal"] for row in result["rows"])
    limits = result["limits"]
    return (
        f"{render_markdown(rows)}\n\n{n_equal} of {len(rows)} are equal: to {limits['log_probabilities']:.0e} for "
        f"log-probabilities, to {limits['gradient_norms']:.0e} of itself for the norm of the gradient of each "
        f"published parameter; torch {result['versions']['torch']}. `{result['command']}`"
    )
