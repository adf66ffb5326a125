"""Score a run directory: reads its predictions, writes ``scores.json``."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.evaluation.compare import compare_predictions
from dialogue_ser.evaluation.floors import majority, tfidf_logistic
from dialogue_ser.evaluation.protocols import PeekWarning, check_selection, protocol_of
from dialogue_ser.metrics.absent import absent_notes
from dialogue_ser.metrics.averages import left_out_indices, micro_f1
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.run_files import RunFiles, to_json
from dialogue_ser.metrics.scores import METRICS, from_confusion
from dialogue_ser.metrics.summary import summarise

FORMAT = 1
FLOORS: Mapping[str, Callable[[Predictions, str, str], Predictions]] = {
    "majority": lambda turns, train, _dev: majority(turns, train),
    "tfidf-logistic": tfidf_logistic,
}


def evaluate_run(
    run_dir: Path,
    splits: Sequence[str] | None = None,
    floors: Sequence[str] = ("majority", "tfidf-logistic"),
    n_resamples: int = 2000,
) -> dict[str, Any]:
    """Score every split of a run and write ``scores.json`` (whole or not at all).

    Args:
        run_dir: run directory with ``predictions.parquet``.
        splits: splits to score; None = every labelled one.
        floors: names in FLOORS, learnt from the run's own train turns; left out where they cannot be (the reason
            stands in ``notes``).
        n_resamples: bootstrap draws of dialogues.

    Returns:
        what ``scores.json`` holds: ``format``, ``run``, ``labels``, ``protocol``, ``train_split``, ``dev_split``,
        ``masked`` (modality → turns of all splits without it: nothing there, or bad and masked), ``leave_out``
        (classes that micro F1 leaves out), ``notes`` (floors left out, splits that lack a class) and ``splits`` (name →
        :func:`~dialogue_ser.metrics.summary.summarise`, with ``micro_f1`` among the scores where classes are left out,
        plus ``floors``: name → the four metrics, and ``difference``: the run's weighted F1 minus the floor's with its
        paired interval over dialogues).

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
    unknown = [unknown_name("floor", name, FLOORS) for name in floors if name not in FLOORS]
    if unknown:
        raise ConfigError(*unknown)
    check_selection(run)
    data = run.config.get("data", {})
    train, dev = str(data.get("train", "train")), str(data.get("dev", "dev"))
    protocol = protocol_of(run, chosen)
    if protocol != "dev":
        warnings.warn(
            f"{run.folder}: legacy-test-peek: its checkpoint was chosen on {dev!r}, which is reported; its score is "
            "too high and must not stand beside honest ones",
            PeekWarning,
            stacklevel=2,
        )
    leave_out = tuple(map(str, data.get("leave_out") or ()))
    without = left_out_indices(leave_out, predictions.labels)
    tables, notes = _floor_tables(predictions, floors, train, dev)
    scored = {name: _score_split(predictions.split(name), tables, train, n_resamples, without) for name in chosen}
    result = {
        "format": FORMAT,
        "run": run.name,
        "labels": list(predictions.labels),
        "protocol": protocol,
        "train_split": train,
        "dev_split": dev,
        "masked": run.summary.get("masked", {}),
        "leave_out": list(leave_out),
        "notes": [*absent_notes(scored), *notes],
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


def _score_split(
    predictions: Predictions, floors: Mapping[str, Predictions], train: str, n_resamples: int, without: Sequence[int]
) -> dict[str, Any]:
    result = summarise(predictions, n_resamples=n_resamples)
    if without:
        result["scores"]["micro_f1"] = float(micro_f1(predictions.confusions().sum(0), without))
    (split,) = predictions.splits
    result["floors"] = {}
    # On train a floor has seen the answers: a comparison there would only mislead.
    for name, table in floors.items() if split != train else ():
        turns = table.split(split)
        values = from_confusion(turns.confusions().sum(0).astype("int64"), turns.labels)
        comparison = compare_predictions([predictions], [turns], split=split, n_resamples=n_resamples)
        result["floors"][name] = {
            **{metric: getattr(values, metric) for metric in METRICS},
            "difference": comparison.difference.to_dict(),
        }
    return result
