"""``dialogue-ser evaluate RUN``."""

from pathlib import Path

from dialogue_ser.cli.tables import scores_table, show
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import write_report


def evaluate(run: str, split: str | None = None, report: bool = True) -> None:
    """Score a run's predictions again: writes scores.json and report.html, prints the table.

    Args:
        run: run directory.
        split: show only this one, or several separated by commas; all are scored and written.
        report: also write report.html again.
    """
    folder = Path(run)
    scores = evaluate_run(folder)
    chosen = list(scores["splits"]) if split is None else split.split(",")
    unknown = [unknown_name("split", name, scores["splits"]) for name in chosen if name not in scores["splits"]]
    if unknown:
        raise ConfigError(*(f"{run}: {problem}" for problem in unknown))
    show(scores_table({**scores, "splits": {name: scores["splits"][name] for name in chosen}}))
    if report:
        print(f"report: {write_report(folder)}")
