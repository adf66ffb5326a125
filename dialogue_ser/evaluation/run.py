"""Score a run directory: reads its predictions, writes ``scores.json``."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.evaluation.compare import compare_predictions
from dialogue_ser.evaluation.floors import FLOORS
from dialogue_ser.evaluation.selection import PeekWarning, check_selection, protocol_of
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.run_files import RunFiles, to_json
from dialogue_ser.tasks import task_of
from dialogue_ser.tasks.base import Task

FORMAT = 1


def evaluate_run(
    run_dir: Path,
    splits: Sequence[str] | None = None,
    floors: Sequence[str] | None = None,
    n_resamples: int = 2000,
    metrics: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Score every split of a run and write ``scores.json`` (whole or not at all).

    Args:
        run_dir: run directory with ``predictions.parquet``.
        splits: splits to score; None = every labelled one.
        floors: names in FLOORS, learnt from the run's own train turns; left out where they cannot be (the reason
            stands in ``notes``); None = those of the task.
        n_resamples: bootstrap draws of dialogues.
        metrics: further metrics, by name or ``package.module:function``; None = those that the run's config.yaml names,
            as far as they are known without importing what a file names (the others stand in ``notes``).

    Returns:
        what ``scores.json`` holds: ``format``, ``run``, ``task``, ``labels`` or ``dimensions``, ``protocol``,
        ``train_split``, ``dev_split``, ``masked`` (modality → turns of all splits without it: nothing there, or bad and
        masked), ``leave_out`` (classes that micro F1 leaves out), ``headings`` (of metrics of the user's own),
        ``notes`` (floors left out, splits that lack a class or dimension, metrics that are not defined) and ``splits``
        (name →
        :meth:`~dialogue_ser.tasks.base.Task.summary`, plus ``floors``: name → the headline metrics, and ``difference``:
        the run's default metric minus the floor's with its paired interval over dialogues).

    Raises:
        MissingDataError: no run directory or no predictions in it.
        DialogueSerError: damaged files, a split that is not there or has no label, an unknown floor, a checkpoint
            that was not the best on dev.

    Warns:
        PeekWarning: the run's checkpoint was chosen on a test split.
    """
    run = RunFiles(Path(run_dir))
    if (run.folder / "folds").is_dir():
        raise DialogueSerError(
            f"{run.folder}: is a cross-validation, whose scores.json was written by it; evaluate one of its folds/NAME"
        )
    predictions = run.predictions
    chosen = _splits(predictions, splits)
    data = run.config.get("data") or {}
    task = task_of(predictions, run.config.get("data"))
    floors = task.floors if floors is None else floors
    unknown = [unknown_name("floor", name, task.floors) for name in floors if name not in task.floors]
    if unknown:
        raise ConfigError(*unknown)
    check_selection(run)
    train, dev = str(data.get("train", "train")), str(data.get("dev", "dev"))
    protocol = protocol_of(run, chosen)
    if protocol != "dev":
        warnings.warn(
            f"{run.folder}: legacy-test-peek: its checkpoint was chosen on {dev!r}, which is reported; its score is "
            "too high and must not stand beside honest ones",
            PeekWarning,
            stacklevel=2,
        )
    tables, notes = _floor_tables(predictions, floors, train, dev)
    extra, unsaid = _metrics(run, task, metrics)
    scored = {name: _score_split(task, predictions.split(name), tables, train, n_resamples, extra) for name in chosen}
    result = {
        "format": FORMAT,
        "run": run.name,
        "task": task.kind,
        task.names_key: list(task.names),
        "protocol": protocol,
        "train_split": train,
        "dev_split": dev,
        "masked": run.summary.get("masked", {}),
        "leave_out": list(map(str, data.get("leave_out") or ())),
        "headings": task.own_headings(extra),
        "notes": [*task.absent_notes(scored), *notes, *unsaid, *_undefined(scored, extra)],
        "splits": scored,
    }
    write_atomically(run.folder / "scores.json", to_json(result))
    return result


def _splits(predictions: Predictions, splits: Sequence[str] | None) -> tuple[str, ...]:
    labelled = tuple(name for name in predictions.splits if predictions.split(name).has_gold)
    if splits is None:
        if not labelled:
            raise DialogueSerError(f"{predictions.origin}: no split has gold labels; there is nothing to score")
        return labelled
    problems = []
    for name in splits:
        if name not in predictions.splits:
            problems.append(f"{predictions.origin}: {unknown_name('split', name, predictions.splits)}")
        elif name not in labelled:
            problems.append(f"{predictions.origin}: split {name!r} has no gold label to score; choose another split")
    if problems:
        raise DialogueSerError(*problems)
    return tuple(dict.fromkeys(splits))


def _floor_tables(
    predictions: Predictions, floors: Sequence[str], train: str, dev: str
) -> tuple[dict[str, Predictions], list[str]]:
    tables: dict[str, Predictions] = {}
    notes: list[str] = []
    for name in floors:
        try:
            tables[name] = FLOORS[name](predictions, train, dev)
        except DialogueSerError as error:
            # A corpus without transcripts or without a train split in the file is no fault of the run.
            notes.append(f"floor {name} left out: {error}")
    return tables, notes


def _metrics(run: RunFiles, task: Task, asked: Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """Further metrics to count, and a sentence about each that config.yaml names as code: a file must not import it."""
    if asked is not None:
        task.metrics(asked)
        return tuple(asked), []
    found, notes = [], []
    for name in map(str, run.config.get("metrics") or ()):
        if ":" in name:
            notes.append(f"metric {name} left out: it is code that config.yaml names; ask for it with --metrics {name}")
        elif name in METRICS or METRICS.comes_from_outside(name):
            found.append(name)
        else:
            notes.append(f"metric {name} left out: it is not known here; install or import what registers it")
    return tuple(found), notes


def _undefined(scored: Mapping[str, Mapping[str, Any]], extra: Sequence[str]) -> list[str]:
    """A sentence on every further metric that some split has no value of: tables leave it out there."""
    found = []
    for metric in (METRICS.find(name) for name in extra):
        splits = [split for split, part in scored.items() if part["scores"][metric.key] is None]
        if splits:
            found.append(
                f"metric {metric.key} is not defined on {', '.join(splits)}: its function gave no finite number"
            )
    return found


def _score_split(
    task: Task,
    predictions: Predictions,
    floors: Mapping[str, Predictions],
    train: str,
    n_resamples: int,
    extra: Sequence[str],
) -> dict[str, Any]:
    result = task.summary(predictions, extra, n_resamples=n_resamples)
    (split,) = predictions.splits
    result["floors"] = {}
    # On train a floor has seen the answers: a comparison there would only mislead.
    for name, table in floors.items() if split != train else ():
        turns = table.split(split)
        comparison = compare_predictions([predictions], [turns], split=split, n_resamples=n_resamples)
        result["floors"][name] = {
            **{key: turns.value(METRICS[key]) for key in task.headline},
            "difference": comparison.difference.to_dict(),
        }
    return result
