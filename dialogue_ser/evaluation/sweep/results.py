"""What a sweep has found so far, as plain values: trials, the best one, the course, what each parameter changes."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.evaluation.sweep.objective import Objective, objective_of
from dialogue_ser.evaluation.sweep.plan import name_of
from dialogue_ser.evaluation.sweep.run_sweep import CONTENTS, COPY
from dialogue_ser.evaluation.sweep.space import dimensions, flat_values
from dialogue_ser.evaluation.sweep.storage import Place, import_optuna
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.evaluation.sweep.trial import State, Trial, best_of
from dialogue_ser.runs.run_files import read_json
from dialogue_ser.search_space.shapes import Parameter, leaves
from dialogue_ser.search_space.sweep import Metric, Sweep
from dialogue_ser.search_space.sweep_file import read_sweep

FORMAT = 1
#: Importances of fewer trials say nothing.
LEAST_TRIALS = 4
_WORDS: dict[State, str] = {
    "finished": "finished", "stopped": "stopped early", "failed": "failed", "running": "running",
    "waiting": "waiting to be continued",
}  # fmt: skip


def find_sweep(file: Path, out: str | None) -> tuple[Sweep, Path]:
    """Return a sweep and its folder.

    Args:
        file: the sweep file, or the folder of a sweep.
        out: the folder; None = runs/ and the name of the sweep.

    Raises:
        ConfigError: the file has mistakes.
        MissingDataError: a folder is no folder of a sweep.
    """
    if file.is_dir():
        if not (file / CONTENTS).is_file() or not (file / COPY).is_file():
            raise MissingDataError(f"{file}: is not the folder of a sweep; give the sweep file, or runs/NAME")
        return read_sweep(file / COPY), file
    sweep = read_sweep(file)
    return sweep, Path(out) if out else Path("runs") / name_of(sweep)


def sweep_results(sweep: Sweep, folder: Path, storage: str | None = None) -> dict[str, Any]:
    """Return what a sweep has found so far.

    Args:
        sweep: the sweep.
        folder: its folder.
        storage: see :func:`~dialogue_ser.evaluation.sweep.run_sweep.run_sweep`.

    Returns:
        plain JSON values: ``name``, ``id``, ``method``, ``metric``, ``goal``, ``seeds``, ``counts`` (state → number),
        ``parameters`` (names), ``trials``, ``best`` (number of a trial or None), ``history`` (the trials with a score
        in the order in which they ended, with the best score so far) and ``importances`` (parameter → share).

    Raises:
        MissingDataError: the sweep was not begun.
    """
    study = SweepStudy.open(Place.of(storage, folder), _name_in(sweep, folder))
    record, trials, objective = study.record(), study.trials(), objective_of(sweep)
    best = best_of(trials, objective.goal)
    return {
        "format": FORMAT,
        "kind": "sweep",
        "name": record["name"],
        "id": record["id"],
        "description": sweep.description,
        "method": sweep.method,
        "metric": objective.name,
        "goal": objective.goal,
        "seeds": record["seeds"],
        "counts": dict(Counter(trial.state for trial in trials)),
        "parameters": [".".join(path) for path in leaves(sweep.parameters)],
        "varying": list(dimensions(sweep.parameters)),
        "trials": [_plain(trial, sweep.parameters) for trial in trials],
        "best": None if best is None else best.number,
        "history": _history(trials, objective),
        "importances": importances(sweep.parameters, trials, objective),
        "saved_epochs": saved_epochs(trials),
    }


def _name_in(sweep: Sweep, folder: Path) -> str:
    """Return the name of the study: the folder of a sweep has a copy of the file, whose name says nothing."""
    if sweep.path.name != COPY:
        return name_of(sweep)
    return str(read_json(folder / CONTENTS).get("name") or name_of(sweep))


def _plain(trial: Trial, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    known = ("seconds", "scores", "best_epoch", "stopped_epoch", "reason", "folders", "epochs")
    return {
        "number": trial.number,
        "state": trial.state,
        "score": trial.score if trial.is_scored else None,
        "values": flat_values(parameters, trial.values) if trial.values else {},
        "trained_epochs": len(trial.curve),
        **{name: trial.info.get(name) for name in known},
    }


def _history(trials: Sequence[Trial], objective: Objective) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    best: float | None = None
    for trial in sorted((one for one in trials if one.is_scored), key=lambda one: (one.ended, one.number)):
        assert trial.score is not None
        best = objective.best([trial.score] if best is None else [best, trial.score])
        rows.append({"number": trial.number, "state": trial.state, "score": trial.score, "best": best})
    return rows


def saved_epochs(trials: Sequence[Trial]) -> dict[str, int]:
    """Return how many epochs the stopped trials did not train, and how many all scored trials would have had."""
    planned = {trial.number: int(trial.info.get("epochs") or 0) for trial in trials if trial.is_scored}
    saved = sum(
        max(0, planned[trial.number] - int(trial.info.get("stopped_epoch") or 0))
        for trial in trials
        if trial.state == "stopped" and trial.number in planned
    )
    return {"saved": saved, "planned": sum(planned.values())}


def importances(parameters: Mapping[str, Parameter], trials: Sequence[Trial], objective: Objective) -> dict[str, float]:
    """Return parameter → its share of the variance of the scores, the greatest first; empty if nothing can be said.

    The shares are those of Optuna's functional analysis of variance (fANOVA) with a random forest. A stopped trial
    counts with its best score so far.
    """
    optuna = import_optuna()
    space = {name: one.distribution for name, one in dimensions(parameters).items()}
    scored = [trial for trial in trials if trial.is_scored and set(trial.params) == set(space)]
    if not space or len(scored) < LEAST_TRIALS or len({trial.score for trial in scored}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = optuna.create_study(direction=objective.goal)
        for trial in scored:
            view.add_trial(optuna.trial.create_trial(value=trial.score, params=dict(trial.params), distributions=space))
        try:
            found = optuna.importance.get_param_importances(
                view, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
            )
        except (RuntimeError, ValueError):  # e.g. every parameter had one value in all trials
            return {}
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def summary_lines(objective: Objective, metric: Metric | None, trials: Sequence[Trial], folder: Path) -> list[str]:
    """Return how far a sweep is, and its best trial, in sentences."""
    counts = Counter(trial.state for trial in trials)
    parts = [f"{counts[state]} {word}" for state, word in _WORDS.items() if counts[state]]
    lines = [f"{len(trials)} trials: {', '.join(parts) or 'none has begun'}"]
    saved = saved_epochs(trials)
    if counts["stopped"] and saved["planned"]:
        lines.append(f"early_terminate saved {saved['saved']} of {saved['planned']} epochs")
    best = best_of(trials, objective.goal)
    if best is not None:
        word = f", {_WORDS[best.state]}" if best.state != "finished" else ""
        where = folder / next(iter(best.info.get("folders") or []), "")
        lines.append(f"best: trial {best.number}{word}, {objective.name} {best.score:.4f}; {where}")
        if metric is not None and metric.target is not None:
            reached = best.score is not None and (
                best.score >= metric.target if metric.goal == "maximize" else best.score <= metric.target
            )
            lines.append(f"target {metric.target:g}: {'reached, so no new trial begins' if reached else 'not reached'}")
    return lines


def best_config(results: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Path]:
    """Return the settings of the best trial, and its run directory.

    What belongs to the sweep is left out: the group and the mode of W&B.

    Raises:
        MissingDataError: no trial has a score, or its run directory is not here.
    """
    from dialogue_ser.training.config.files import config_to_dict, load_record
    from dialogue_ser.training.config.run_config import WandbConfig

    if results["best"] is None:
        raise MissingDataError(f"{folder}: no trial has a score yet; go on with dialogue-ser sweep run")
    trial = next(one for one in results["trials"] if one["number"] == results["best"])
    name = str((trial["folders"] or [""])[0])
    run = folder / Path(name).name  # the storage may be that of others; no name leads out of the folder
    if not (run / "config.yaml").is_file():
        raise MissingDataError(f"{run}: the run of trial {trial['number']} is not here; copy it, or correct --out")
    try:
        config = config_to_dict(load_record(run / "config.yaml"))
    except DialogueSerError as error:
        raise MissingDataError(*error.problems) from error
    config["wandb"] = {**config["wandb"], "group": WandbConfig().group, "mode": WandbConfig().mode}
    return config, run
