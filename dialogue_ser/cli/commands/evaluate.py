"""``dialogue-ser evaluate RUN``."""

from pathlib import Path

from dialogue_ser.cli.tables import scores_table, show, show_notes
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles


def evaluate(
    run: str, split: str | None = None, report: bool = True, metrics: str | None = None, trust_code: bool = False
) -> None:
    """Compute the scores of a run again from its predictions, write scores.json and report.html, and print a table.

    The scores of a cross-validation stay as they are: its tables are printed and its report.html is written again.

    Args:
        run: run directory, or directory of a cross-validation.
        split: print only this split, or several separated by commas. scores.json always has all splits.
        report: also write report.html. Switch it off to save time.
        metrics: further metrics to compute, separated by commas: names, or package.module:function for your own ones.
            If left out: those that the run's configuration names.
        trust_code: allow metrics in the run's configuration that are code. Computing them runs that code, so allow only
            code that you trust.
    """
    folder = Path(run)
    if RunFiles(folder).scores.get("kind") == "crossval":
        if split is not None or not report or metrics is not None:
            raise ConfigError(f"{run}: is a cross-validation; leave --split, --report and --metrics out")
        from dialogue_ser.cli.commands.crossval import finish

        print(f"report: {finish(folder, RunFiles(folder).scores)}")
        return
    scores = evaluate_run(folder, metrics=None if metrics is None else metrics.split(","), trust_code=trust_code)
    chosen = list(scores["splits"]) if split is None else split.split(",")
    unknown = [unknown_name("split", name, scores["splits"]) for name in chosen if name not in scores["splits"]]
    if unknown:
        raise ConfigError(*(f"{run}: {problem}" for problem in unknown))
    show(scores_table({**scores, "splits": {name: scores["splits"][name] for name in chosen}}))
    show_notes(scores)
    if report:
        print(f"report: {write_report(folder)}")
