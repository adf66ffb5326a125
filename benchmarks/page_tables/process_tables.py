"""The tables of several processes, rendered by ``benchmarks.tables``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown

_FILE = "processes.json"
_NOT_YET = "Not measured yet: `python -m benchmarks.processes --record`."


def _number(value: float) -> str:
    """Return a difference with two digits.

    >>> _number(0.0), _number(2.35e-7)
    ('0', '2.4e-07')
    """
    return f"{value:.1e}" if value else "0"


def _accumulated(row: Mapping[str, Any]) -> str:
    found = row.get("accumulated")
    return f"not equal: {row['not_accumulated']}" if found is None else _number(found["step_loss"])


@register_renderer("processes")
def processes(folder: Path) -> str:
    """Largest differences of two processes, and of accumulated batches, from one process with whole batches."""
    if not (folder / _FILE).is_file():
        return _NOT_YET
    result = read_result(folder, _FILE)
    rows = [
        {
            "loss or option": row["case"],
            "steps": str(row["steps"]),
            "loss of a step": _number(row["two_processes"]["step_loss"]),
            "loss on dev": _number(row["two_processes"]["dev_loss"]),
            "weights": _number(row["two_processes"]["weights"]),
            "accumulated: loss of a step": _accumulated(row),
        }
        for row in result["equality"]
    ]
    about = (
        "Largest absolute differences from one process: of two processes (three columns), and of twice as many batches "
        f"of half the size, two in a step (last column). Two epochs of the sample, dropout 0, float32, CPU; torch "
        f"{result['torch']}. `{result['command']}`"
    )
    return f"{render_markdown(rows)}\n\n{about}"


@register_renderer("killed-processes")
def killed(folder: Path) -> str:
    """How long the other processes lived after one was killed, and whether the continued run has the same bits."""
    if not (folder / _FILE).is_file():
        return _NOT_YET
    result = read_result(folder, _FILE)
    rows = [
        {
            "launcher": row["launcher"],
            "killed (SIGKILL)": f"process {row['rank']} of 2",
            "all processes gone": f"{row['ranks_gone_seconds']} s",
            "launcher gone": f"{row['command_gone_seconds']} s",
            "continued: same losses, weights, predictions": "yes, every bit" if row["same_bits"] else "no",
        }
        for row in result["killed"]
    ]
    return f"{render_markdown(rows)}\n\n`{result['command']}`"
