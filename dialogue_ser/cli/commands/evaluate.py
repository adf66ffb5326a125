"""``dialogue-ser evaluate RUN``, also on new data."""

from pathlib import Path
from typing import Any, Literal

from dialogue_ser.cli.tables import scores_table, show, show_notes
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.evaluation.new_corpus import NewData
from dialogue_ser.evaluation.new_data import KIND, evaluate_on
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import write_report
from dialogue_ser.runs.run_files import RunFiles

_NO_DATA = NewData()


def evaluate(
    run: str,
    split: str | None = None,
    report: bool = True,
    metrics: str | None = None,
    data: NewData = _NO_DATA,
    out: str | None = None,
    features: dict[str, str] | None = None,
    batch_size: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    trust_code: bool = False,
) -> None:
    """Score a run: its own predictions again, or its model on new labelled dialogues (--data.path turns.csv).

    Without --data, the scores are computed from the predictions of the run, and its scores.json and report.html are
    written again. The scores of a cross-validation stay as they are: its tables are printed and its report.html is
    written again.

    With --data.path or --data.reader, the model predicts the new dialogues. Predictions, scores and report are written
    into a folder of their own, and the run stays as it is.

    Args:
        run: run directory, or directory of a cross-validation. With --data also a model folder or a hub id.
        split: print only this split, or several separated by commas. scores.json always has all splits.
        report: also write report.html. Switch it off to save time.
        metrics: further metrics to compute, separated by commas: names, or package.module:function for your own ones.
            If left out: those that the run's configuration names.
        data: labelled dialogues that the model is scored on.
        out: folder for the results on new data. If left out: runs/RUN-on-FILE.
        features: files of precomputed features of the new data with one row per utterance id, by modality, e.g.
            --features.audio FILE.
        batch_size: largest number of new dialogues that are computed together. Reduce it if memory runs out.
        device: device for new data: cpu, cuda (a GPU), or auto, which takes a GPU if there is one.
        trust_code: allow a model, an encoder or a metric that is your own code and that the run names. Loading it runs
            that code, so allow only code that you trust.
    """
    chosen = None if split is None else split.split(",")
    further = None if metrics is None else metrics.split(",")
    if data != _NO_DATA:
        folder, scores = evaluate_on(
            run,
            data,
            out,
            features=features,
            metrics=further,
            batch_size=batch_size,
            device=device,
            trust_code=trust_code,
        )
        _print_scores(scores, chosen, str(folder))
        print(_counts_line(scores))
        print(f"results: {folder}" + (f"\nreport:  {write_report(folder)}" if report else ""))
        return
    if out is not None or features is not None:
        raise ConfigError("evaluate: --out and --features are for new data; name the data with --data.path")
    folder = Path(run)
    kind = RunFiles(folder).scores.get("kind")
    if kind == "crossval":
        if split is not None or not report or metrics is not None:
            raise ConfigError(f"{run}: is a cross-validation; leave --split, --report and --metrics out")
        from dialogue_ser.cli.commands.crossval import finish

        print(f"report: {finish(folder, RunFiles(folder).scores)}")
        return
    if kind == KIND and metrics is not None:
        raise ConfigError(f"{run}: is an evaluation on new data; repeat that command with --metrics")
    scores = RunFiles(folder).scores if kind == KIND else evaluate_run(folder, metrics=further, trust_code=trust_code)
    _print_scores(scores, chosen, run)
    if report:
        print(f"report: {write_report(folder)}")


def _print_scores(scores: dict[str, Any], splits: list[str] | None, where: str) -> None:
    """Print the table of some splits (None = all) and the notes. Raises ConfigError if there is no such split."""
    chosen = list(scores["splits"]) if splits is None else splits
    unknown = [unknown_name("split", name, scores["splits"]) for name in chosen if name not in scores["splits"]]
    if unknown:
        raise ConfigError(*(f"{where}: {problem}" for problem in unknown))
    show(scores_table({**scores, "splits": {name: scores["splits"][name] for name in chosen}}))
    show_notes(scores)


def _counts_line(scores: dict[str, Any]) -> str:
    """Say how much was scored.

    >>> counts = {"dialogues": 2, "turns": 9, "labelled": 8}
    >>> _counts_line({"masked": {"audio": 1}, "splits": {"test": {"counts": counts}}})
    '2 dialogues, 9 turns, 8 of them labelled; without audio: 1'
    """
    total = {key: sum(part["counts"][key] for part in scores["splits"].values()) for key in ("dialogues", "turns")}
    labelled = sum(part["counts"]["labelled"] for part in scores["splits"].values())
    masked = "".join(f"; without {modality}: {n}" for modality, n in scores["masked"].items() if n)
    return f"{total['dialogues']} dialogues, {total['turns']} turns, {labelled} of them labelled{masked}"
