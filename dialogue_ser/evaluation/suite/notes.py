"""What a reader of a suite's table must know: tuning, failed runs, a missing reference, few dialogues, few seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

#: A table whose intervals draw from fewer dialogues or folds says so.
_FEW = 10


def notes_of(reference: str, over: str, rows: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> list[str]:
    """Return sentences that a reader of the table must know.

    Args:
        reference: label of the system that the others are compared with; "" = none.
        over: what the intervals draw: dialogues or folds.
        rows: the rows of the results.
        failed: key of a run or a trial → why it failed.
    """
    notes = []
    trials = [key for key in failed if key.rpartition("/")[2].startswith("trial")]
    tuned = [row["tuned"] for row in rows if row["tuned"]]
    if tuned:
        fewer = ", but some failed, so their systems were tuned with fewer" if trials else ""
        notes.append(
            f"Every system was given the same number of trials: {max(one['trials'] for one in tuned)}, with seed "
            f"{tuned[0]['seed']}{fewer}. The best one on dev was chosen. The seeds of the table were trained "
            "after that."
        )
    if trials:
        notes.append(f"{_counted(len(trials), 'trials')} failed: {', '.join(trials)}.")
    if len(failed) > len(trials):
        number = _counted(len(failed) - len(trials), "runs")
        notes.append(f"{number} failed. Their rows have fewer seeds, or are missing.")
    alone = [
        row["label"]
        for row in rows
        if reference and not row["comparison"] and reference not in (row["label"], row["system"])
    ]
    if alone:
        notes.append(f"No run of the reference {reference} is finished. No comparison: {', '.join(alone)}.")
    if rows and rows[0]["n_drawn"] < _FEW:
        number = _counted(rows[0]["n_drawn"], over)
        notes.append(f"The intervals and p-values draw from only {number}. Intervals of so few are too narrow.")
    few = [row["label"] for row in rows if len(row["seeds"]) < 2]
    if few:
        notes.append(f"One seed says nothing about the spread over seeds: {', '.join(few)}.")
    return notes


def _counted(number: int, things: str) -> str:
    return f"{number} {things if number != 1 else things.removesuffix('s')}"
