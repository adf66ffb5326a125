"""``dialogue-ser evaluate RUN``."""

from pathlib import Path

from dialogue_ser.cli.tables import scores_table, show, show_notes
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles


def evaluate(run: str, split: str | None = None, report: bool = True, metrics: str | None = None) -> None:
    """Score a run's predictions again: writes scores.json and report.html, prints the table.

    Of a cross-validation, whose scores.json is final, it prints the tables and writes the page again.

    Args:
        run: run directory, or the directory of a cross-validation.
        split: show only this one, or several separated by commas; all are scored and written.
        report: also write report.html again.
        metrics: score this further metric too, or several separated by commas: names, or package.module:function of
            your own. Without it those that the run's configuration names, except code.
    """
    folder = Path(run)
    if RunFiles(folder).scores.get("kind") == "crossval":
        if split is not None or not report or metrics is not None:
            raise ConfigError(f"{run}: is a cross-validation; give neither --split nor --report nor --metrics")
        from dialogue_ser.cli.commands.crossval import finish

        print(f"report: {finish(folder, RunFiles(folder).scores)}")
        return
    scores = evaluate_run(folder, metrics=None if metrics is None else metrics.split(","))
    chosen = list(scores["splits"]) if split is None else split.split(",")
    unknown = [unknown_name("split", name, scores["splits"]) for name in chosen if name not in scores["splits"]]
    if unknown:
        raise ConfigError(*(f"{run}: {problem}" for problem in unknown))
    show(scores_table({**scores, "splits": {name: scores["splits"][name] for name in chosen}}))
    show_notes(scores)
    if report:
        print(f"report: {write_report(folder)}")
