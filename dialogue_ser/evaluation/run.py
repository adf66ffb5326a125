"""Score a run directory: read its predictions and write ``scores.json``.

Keys of ``scores.json``:

``format``, ``run``, ``task``
    version of this format, name of the run, kind of task
``labels`` or ``dimensions``
    names of what is predicted
``protocol``
    ``dev``, or ``legacy-test-peek`` if the checkpoint was chosen on a test split that is reported
``legacy_test_peek``
    only after ``training.protocol: legacy-test-peek``: the epoch that test would have chosen, its scores and the gap to
    the kept epoch (docs/architecture.md)
``train_split``, ``dev_split``
    names of these splits
``masked``
    modality → number of turns of all splits without it: it is missing there, or it was bad and therefore masked
``leave_out``
    classes that micro F1 leaves out
``headings``
    key → heading of metrics that are not part of the library
``notes``
    sentences on floors and metrics that are left out, and on splits without any turn of some class or dimension
``splits``
    name → :meth:`~dialogue_ser.tasks.base.Task.summary`, with ``floors``: name → its headline metrics and
    ``difference``, which is the run's default metric minus the floor's, with its paired interval over dialogues
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.evaluation.compare import compare_predictions
from dialogue_ser.evaluation.floors import FLOORS
from dialogue_ser.evaluation.selection import PeekWarning, Protocol, check_selection, protocol_of
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.lock import SHORT_WAIT_SECONDS, run_lock
from dialogue_ser.runs.run_files import RunFiles, to_json
from dialogue_ser.tasks import task_of
from dialogue_ser.tasks.base import Task
from dialogue_ser.trust import NamedCode, Trust, refuse_code

FORMAT = 1


def evaluate_run(
    run_dir: Path,
    splits: Sequence[str] | None = None,
    floors: Sequence[str] | None = None,
    n_resamples: int = 2000,
    metrics: Sequence[str] | None = None,
    *,
    trust_code: Trust = False,
) -> dict[str, Any]:
    """Score the splits of a run and write ``scores.json``.

    Args:
        run_dir: run directory with ``predictions.parquet``.
        splits: splits to score; None = every split with labels.
        floors: names in FLOORS; None = the floors of the task. They learn from the train turns of the run. A floor
            that cannot be computed is left out, and ``notes`` gives the reason.
        n_resamples: bootstrap draws of dialogues.
        metrics: further metrics, by name or ``package.module:function``. None = the metrics in the run's config.yaml.
        trust_code: allow code among the metrics in config.yaml: all (True), none, or the functions with these names.

    Returns:
        the content of ``scores.json``, see the module's docstring.

    Raises:
        MissingDataError: the run directory or its predictions do not exist.
        DialogueSerError: a file is damaged, a split does not exist or has no labels, a floor is unknown, the
            checkpoint was not the best one on dev, or config.yaml names metrics that are code and are not trusted.

    Warns:
        PeekWarning: the checkpoint of the run was chosen on a test split that is reported.
    """
    run = RunFiles(Path(run_dir))
    refuse_cross_validation(run)
    predictions = run.predictions
    chosen = _splits_to_score(predictions, splits)
    task = task_of(predictions, run.config.get("data"))
    extra, metric_notes = further_metrics(run, task, metrics, trust_code)
    floor_names = _floor_names(task, floors)
    check_selection(run)
    protocol = protocol_of(run, chosen)
    if protocol != "dev":
        _warn_of_peeking(run)
    train = _split_name(run, "train")
    tables, floor_notes = learn_floors(predictions, floor_names, train, _split_name(run, "dev"))
    scored = {name: score_split(task, predictions.split(name), tables, train, n_resamples, extra) for name in chosen}
    notes = [*task.absent_notes(scored), *floor_notes, *metric_notes, *undefined_notes(scored, extra)]
    result = _description(run, task, protocol, extra) | {"notes": notes, "splits": scored}
    with run_lock(run.folder, SHORT_WAIT_SECONDS):
        write_atomically(run.folder / "scores.json", to_json(result))
    return result


def _description(run: RunFiles, task: Task, protocol: Protocol, extra: Sequence[str]) -> dict[str, Any]:
    """Return all of ``scores.json`` that does not depend on the scores."""
    return {
        "format": FORMAT,
        "run": run.name,
        "task": task.kind,
        task.names_key: list(task.names),
        "protocol": protocol,
        "train_split": _split_name(run, "train"),
        "dev_split": _split_name(run, "dev"),
        "masked": run.summary.get("masked", {}),
        **({"legacy_test_peek": peek} if (peek := run.summary.get("legacy_test_peek")) else {}),
        "leave_out": list(map(str, (run.config.get("data") or {}).get("leave_out") or ())),
        "headings": task.own_headings(extra),
    }


def refuse_cross_validation(run: RunFiles) -> None:
    """Raise DialogueSerError if a folder is a cross-validation, which has no predictions and no model of its own."""
    if (run.folder / "folds").is_dir():
        raise DialogueSerError(
            f"{run.folder}: is a cross-validation, which has no model and has written its scores.json itself; evaluate "
            "one of its runs folds/NAME instead"
        )


def _split_name(run: RunFiles, part: str) -> str:
    """Return the split that the configuration of the run uses as ``train`` or ``dev``."""
    return str((run.config.get("data") or {}).get(part, part))


def _splits_to_score(predictions: Predictions, splits: Sequence[str] | None) -> tuple[str, ...]:
    labelled = tuple(name for name in predictions.splits if predictions.split(name).has_gold)
    if splits is None:
        if not labelled:
            raise DialogueSerError(
                f"{predictions.origin}: no split has gold labels, so nothing can be scored; evaluate a labelled corpus"
            )
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


def _floor_names(task: Task, floors: Sequence[str] | None) -> Sequence[str]:
    if floors is None:
        return task.floors
    unknown = [unknown_name("floor", name, task.floors) for name in floors if name not in task.floors]
    if unknown:
        raise ConfigError(*unknown)
    return floors


def _warn_of_peeking(run: RunFiles) -> None:
    warnings.warn(
        f"{run.folder}: legacy-test-peek: its checkpoint was chosen on {_split_name(run, 'dev')!r}, which is reported; "
        "its score is too high and must not be compared with honest ones",
        PeekWarning,
        stacklevel=3,  # the caller of evaluate_run
    )


def learn_floors(
    predictions: Predictions, floors: Sequence[str], train: str, dev: str
) -> tuple[dict[str, Predictions], list[str]]:
    """Return floor → its predictions of the same turns, and a sentence on every floor that is left out."""
    tables: dict[str, Predictions] = {}
    notes: list[str] = []
    for name in floors:
        try:
            tables[name] = FLOORS[name](predictions, train, dev)
        except DialogueSerError as error:
            # The corpus may have no transcripts, or the file no train split. The run is scored without this floor.
            notes.append(f"floor {name} left out: {error}")
    return tables, notes


def further_metrics(
    run: RunFiles | None, task: Task, requested: Sequence[str] | None, trust_code: Trust
) -> tuple[tuple[str, ...], list[str]]:
    """Return the further metrics to compute, and a sentence on every metric of config.yaml that is left out.

    Args:
        run: run whose config.yaml names metrics; None if there is no run.
        task: task of the run.
        requested: names of metrics; None = those of the configuration.
        trust_code: allow code among the metrics of the configuration.

    Raises:
        ConfigError: config.yaml names metrics that are code and are not trusted.
    """
    if requested is not None:
        task.metrics(requested)
        return tuple(requested), []
    found, notes = [], []
    if run is None:
        return (), []
    named = list(map(str, run.config.get("metrics") or ()))
    config = run.folder / "config.yaml"
    code = [NamedCode(name, f"{config}: metrics[{index}]") for index, name in enumerate(named) if ":" in name]
    advice = f"add --trust_code if you trust this code, or name the metrics to compute: --metrics {','.join(named)}"
    refuse_code(code, trust_code, advice)
    for name in named:
        if name in METRICS or METRICS.comes_from_outside(name):
            found.append(name)
        else:
            notes.append(f"metric {name} left out: it is not known here; install or import what registers it")
    return tuple(found), notes


def undefined_notes(scored: Mapping[str, Mapping[str, Any]], extra: Sequence[str]) -> list[str]:
    """Return a sentence on every further metric that has no value on some split. Tables leave it out there."""
    found = []
    for metric in (METRICS.find(name) for name in extra):
        splits = [split for split, part in scored.items() if part["scores"][metric.key] is None]
        if splits:
            found.append(
                f"metric {metric.key} is not defined on {', '.join(splits)}: its function gave no finite number"
            )
    return found


def score_split(
    task: Task,
    predictions: Predictions,
    floors: Mapping[str, Predictions],
    train: str,
    n_resamples: int,
    extra: Sequence[str],
) -> dict[str, Any]:
    """Return what ``scores.json`` says about one split: its summary, and the comparison with every floor.

    Args:
        task: task of the run.
        predictions: predictions of one split.
        floors: floor → its predictions of the same turns and perhaps of others.
        train: split that floors learned from; it is not compared with them.
        n_resamples: bootstrap draws of dialogues.
        extra: further metrics.
    """
    result = task.summary(predictions, extra, n_resamples=n_resamples)
    (split,) = predictions.splits
    result["floors"] = {}
    # A floor has learned the labels of train, so a comparison on train would mislead.
    for name, table in floors.items() if split != train else ():
        turns = table.split(split)
        comparison = compare_predictions([predictions], [turns], split=split, n_resamples=n_resamples)
        result["floors"][name] = {
            **{key: turns.value(METRICS[key]) for key in task.headline},
            "difference": comparison.difference.to_dict(),
        }
    return result
