"""The results of a suite: for each row the scores over seeds, their intervals, the comparison and the costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.compare import compare_predictions
from dialogue_ser.evaluation.published import published_rows_for
from dialogue_ser.evaluation.selection import check_selection, mean_std
from dialogue_ser.evaluation.suite.notes import notes_of
from dialogue_ser.evaluation.suite.plan import Cell, Plan
from dialogue_ser.evaluation.suite.rows import Row
from dialogue_ser.metrics.bootstrap import bootstrap, class_f1_function, metrics_function, seed_mean, stack_seeds
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.metrics.significance import holm
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of
from dialogue_ser.tasks.base import Task

FORMAT = 1
_RESAMPLES = 2000


def suite_results(plan: Plan, cells: Sequence[Cell], failed: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of ``results.json``.

    Args:
        plan: the suite.
        cells: its finished runs.
        failed: key of the other runs → why they failed.

    Returns:
        ``name``, ``description``, ``protocol``, ``split``, ``metric`` (the one that is compared), ``metrics`` (key →
        heading), ``task``, ``labels`` (classes; empty for a regression), ``reference``, ``interval_over`` (what is
        drawn), ``rows``, ``failed``, ``published``, ``notes``,
        ``versions`` and ``machine``. A row has ``label``, ``system``, ``encoder``,
        ``model``, ``features``, ``seeds``, ``n_drawn`` (number of dialogues or folds that are drawn), ``test`` and
        ``dev`` (metric → mean, std, values), ``intervals``, ``classes`` (class → F1 with its interval),
        ``comparison``, ``peek``, ``tuned`` and ``cost``.

    Raises:
        DialogueSerError: runs have no labelled turns in the split, or different turns.
    """
    suite = plan.suite
    check_choice(cells)
    of_row = {row.label: [cell for cell in cells if cell.row is row] for row in plan.rows}
    of_row = {label: found for label, found in of_row.items() if found}
    over_folds = suite.protocol == "crossval"
    tables = {
        label: [_reported(cell.folder, suite.split, over_folds) for cell in found] for label, found in of_row.items()
    }
    first = next(iter(tables.values()))[0]
    task = task_of(first, RunFiles(cells[0].folder).config.get("data"))
    _check_alike(tables)
    metrics = task.metrics(suite.metrics)
    further = [METRICS.find(name).key for name in suite.metrics]
    shown = {key: metrics[key] for key in dict.fromkeys((*task.headline, *further)) if key in metrics}
    rows = [_row(row, of_row[row.label], tables[row.label], task, shown) for row in plan.rows if row.label in tables]
    _compare(plan, rows, tables, task)
    over = "folds" if over_folds else "dialogues"
    return {
        "format": FORMAT,
        "kind": "suite",
        "name": suite.name,
        "description": suite.description,
        "protocol": suite.protocol,
        "split": suite.split,
        "seeds": list(suite.seeds),
        "task": task.kind,
        "labels": list(task.names) if task.gives_probabilities else [],
        "metric": task.default_metric,
        "metrics": {key: metric.heading for key, metric in shown.items()},
        "reference": suite.reference,
        "interval_over": over,
        "rows": rows,
        "failed": dict(failed),
        "published": _published(cells[0], task.n_scores) if task.gives_probabilities else [],
        "notes": notes_of(suite.reference, over, rows, failed),
        **_circumstances(cells[0]),
    }


def _check_alike(tables: Mapping[str, Sequence[Predictions]]) -> None:
    """Check that all rows predict the same turns, with the same classes or dimensions: one table compares them.

    Raises:
        DialogueSerError: they do not; the error has every row.
    """
    first, known = next((label, found[0]) for label, found in tables.items())
    problems = []
    for label, found in tables.items():
        try:
            for one in found:
                one.aligned_to(known)
        except DialogueSerError as error:
            problems += [f"{label} and {first}: {problem}" for problem in error.problems]
    if problems:
        raise DialogueSerError(*problems)


def _reported(folder: Path, split: str, over_folds: bool) -> Predictions:
    """Return the reported turns of a run. In a cross-validation every fold counts as one dialogue.

    Raises:
        DialogueSerError: the run has no such split, or no labelled turn in it.
    """
    predictions = RunFiles(folder).predictions.split(split)
    if not predictions.has_gold:
        raise DialogueSerError(f"{folder}: split {split!r} has no labelled turn; report another split (split: dev)")
    frame = predictions.frame
    if over_folds and frame["fold"].nunique() > 1:  # turns of one speaker are not independent, so folds are drawn
        frame = frame.assign(turn=range(len(frame)), dialogue_id=frame["fold"].astype(str))
        return predictions_of(frame, origin=str(folder))
    return predictions


def _row(
    row: Row, cells: Sequence[Cell], tables: Sequence[Predictions], task: Task, shown: Mapping[str, Metric]
) -> dict[str, Any]:
    """Return one row of the results: what follows from the runs of its seeds."""
    aligned = [table.aligned_to(tables[0]) for table in tables]
    additive = [metric for metric in shown.values() if metric.is_additive]
    statistics = np.swapaxes(stack_seeds([table.statistics() for table in aligned]), 0, 1)  # [dialogue, seed, …]
    over_dialogues = bootstrap(statistics, seed_mean(metrics_function(additive)), _RESAMPLES)
    return {
        "label": row.label,
        "system": row.system,
        "encoder": row.encoder,
        "model": row.config.model.name if row.config.crossval.estimator == "none" else row.config.crossval.estimator,
        "features": {modality: feature.encoder for modality, feature in row.config.features.items()},
        "seeds": [cell.seed for cell in cells],
        "folders": [_relative(cell) for cell in cells],
        "n_drawn": len(statistics),
        "test": _means(aligned, shown),
        "dev": _dev_means(cells, shown),
        "intervals": {name: interval.to_dict() for name, interval in over_dialogues.items()},
        "classes": _classes(aligned, statistics, task),
        "comparison": None,
        "peek": _peek(cells, task),
        "tuned": row.tuned,
        "cost": _cost(cells),
    }


def _relative(cell: Cell) -> str:
    """Return the run directory as a path inside the folder of the suite."""
    parts = cell.folder.parts
    depth = 4 if cell.row.encoder else 3  # runs, system, encoder, seed
    return "/".join(parts[-depth:])


def _means(tables: Sequence[Predictions], shown: Mapping[str, Metric]) -> dict[str, Any]:
    """Return metric → mean ± std over seeds, without the metrics that are not defined."""
    values = {key: [table.value(metric) for table in tables] for key, metric in shown.items()}
    return {
        key: mean_std([value for value in found if value is not None]).to_dict()
        for key, found in values.items()
        if all(value is not None for value in found)
    }


def _dev_means(cells: Sequence[Cell], shown: Mapping[str, Metric]) -> dict[str, Any]:
    """Return the means on dev; empty if a run has no labelled dev turns."""
    tables = []
    for cell in cells:
        predictions = RunFiles(cell.folder).predictions
        name = cell.config.data.dev if cell.config.data.dev in predictions.splits else "dev"
        if name not in predictions.splits or not predictions.split(name).has_gold:
            return {}
        tables.append(predictions.split(name))
    return _means(tables, shown)


def _classes(tables: Sequence[Predictions], statistics: Any, task: Task) -> dict[str, Any]:
    """Return class → F1 over seeds with its interval, and the number of labelled turns; empty for a regression."""
    if not task.gives_probabilities:
        return {}
    f1 = class_f1_function(task.names)
    each = [f1(table.statistics().sum(0)) for table in tables]
    intervals = bootstrap(statistics, seed_mean(f1), _RESAMPLES)
    support = tables[0].statistics().sum(0).sum(-1)
    return {
        label: {
            **mean_std([float(one[label]) for one in each]).to_dict(),
            "low": intervals[label].low,
            "high": intervals[label].high,
            "support": int(support[number]),
        }
        for number, label in enumerate(task.names)
    }


def _peek(cells: Sequence[Cell], task: Task) -> dict[str, Any] | None:
    """Return the scores of the epochs that test would have chosen, and how much higher they are.

    None if a run has not scored test after every epoch (``training.protocol: legacy-test-peek``).
    """
    found = [RunFiles(cell.folder).summary.get("legacy_test_peek") for cell in cells]
    key = task.default_metric
    pairs = [(one["scores"].get(key), one["kept_scores"].get(key)) for one in found if one]
    if len(pairs) < len(cells) or any(value is None for pair in pairs for value in pair):
        return None
    peeked, kept = (mean_std(values) for values in zip(*pairs, strict=True))
    return {
        **peeked.to_dict(),
        "gap": METRICS[key].sign * (peeked.mean - kept.mean),
        "gaps": [METRICS[key].sign * (a - b) for a, b in pairs],
        "epochs": [one["epoch"] for one in found if one],
        "kept_epochs": [one["kept_epoch"] for one in found if one],
    }


def _cost(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return what a run costs: parameters, median seconds of an epoch, peak memory, epochs, and the chosen epoch."""
    folders = [folder for cell in cells for folder in _trainings(cell.folder)]
    runs = [RunFiles(folder) for folder in folders]
    summaries = [run.summary for run in runs if run.summary]
    seconds = [float(epoch["seconds"]) for run in runs for epoch in run.epochs if "seconds" in epoch]
    return {
        "n_parameters": max((int(one["n_parameters"]) for one in summaries), default=None),
        "seconds_per_epoch": median(seconds) if seconds else None,
        "peak_memory_bytes": max((int(one["peak_memory_bytes"]) for one in summaries), default=None),
        "epochs": [len(run.epochs) for run in runs if run.epochs],
        "best_epochs": [one["best_epoch"] for one in summaries if one.get("best_epoch") is not None],
    }


def _trainings(folder: Path) -> list[Path]:
    """Return the run directories of the single trainings in a run, a cross-validation or an ensemble."""
    parts = sorted(path.parent for path in folder.glob("folds/*/metrics.jsonl")) or [folder]
    return [
        one
        for part in parts
        for one in (sorted(path.parent for path in part.glob("members/*/metrics.jsonl")) or [part])
    ]


def _compare(
    plan: Plan, rows: Sequence[dict[str, Any]], tables: Mapping[str, Sequence[Predictions]], task: Task
) -> None:
    """Add the comparison with the reference to the rows; the p-values are corrected for the number of comparisons."""
    compared = []
    for entry, row in ((entry, row) for entry in rows for row in plan.rows if row.label == entry["label"]):
        reference = plan.reference_of(row)
        if reference is None or reference.label not in tables:
            continue
        found = compare_predictions(
            tables[row.label], tables[reference.label], plan.suite.split, task.default_metric, _RESAMPLES
        )
        entry["comparison"] = {"reference": reference.label, **found.to_dict(), "p_value": found.difference.p_value}
        compared.append(entry["comparison"])
    for one, corrected in zip(compared, holm([one["p_value"] for one in compared]), strict=True):
        one["p_value_holm"] = corrected
        one["is_significant"] = corrected < 0.05


def _published(cell: Cell, n_classes: int) -> list[dict[str, Any]]:
    """Return published scores on the same corpus with the same classes. They were not measured here."""
    rows = published_rows_for(cell.config.data.reader, n_classes, "")
    return [row for row in rows if row["same_conditions"]]


def _circumstances(cell: Cell) -> dict[str, Any]:
    """Return the versions and the machine of a run."""
    found = RunFiles(cell.folder).environment
    machine = {name: found[name] for name in ("platform", "cpu", "cpu_count", "device", "threads") if name in found}
    return {"versions": {"python": found.get("python"), **found.get("packages", {})}, "machine": machine}


def check_choice(cells: Sequence[Cell]) -> None:
    """Check that dev chose the epoch of every run.

    Raises:
        DialogueSerError: another epoch was better on dev.
    """
    for cell in cells:
        for folder in _trainings(cell.folder):
            check_selection(RunFiles(folder))
