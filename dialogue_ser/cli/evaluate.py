"""``dialogue-ser evaluate RUN``."""

from pathlib import Path

from dialogue_ser.cli.tables import scores_table, show
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import write_report


def evaluate(run: str, split: list[str] | None = None, report: bool = True) -> None:
    """Score a run's predictions again: writes scores.json and report.html, prints the table.

    Args:
        run: run directory.
        split: split or [list,of,splits]; every labelled one if left away.
        report: also write report.html again (only when all splits are scored).
    """
    folder = Path(run)
    scores = evaluate_run(folder, splits=split)
    show(scores_table(scores))
    if report and split is None:
        print(f"report: {write_report(folder)}")
