"""What the job of a trial does: train its runs, or continue them, and return its score on dev."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.sweep.objective import (
    Objective,
    chosen_epoch,
    curve_of,
    score_of_folds,
    score_of_run,
)
from dialogue_ser.evaluation.sweep.stopping import EarlyTermination, StoppedEarly
from dialogue_ser.runs.lock import refuse_if_locked
from dialogue_ser.runs.run_files import read_json, to_json
from dialogue_ser.search_space.hyperband import Hyperband
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.run_config import RunConfig

#: File in a run directory that early_terminate has stopped.
STOPPED = "stopped.json"
#: A trial is taken up again when its worker is dead. The process that trains it then ends within this time.
_OLD_PROCESS_SECONDS = 30.0


def do_trial(
    config: Mapping[str, Any],
    folders: Sequence[str],
    sweep: str,
    sweep_id: str,
    objective: Mapping[str, Any],
    rule: Mapping[str, Any] | None,
    environment: Mapping[str, str],
    is_crossval: bool,
) -> dict[str, Any]:
    """Train all seeds of a trial, one after the other. What is finished is not repeated.

    Args:
        config: the configuration of the first seed, as plain values.
        folders: the run directory of each seed. Each seed is one greater than the one before.
        sweep: folder of the sweep.
        sweep_id: random name of the sweep.
        objective: the fields of the metric.
        rule: the fields of ``early_terminate``; None = no trial is stopped.
        environment: variables for W&B.
        is_crossval: whether every seed is a cross-validation.

    Returns:
        ``score`` (the mean over seeds), ``scores`` (of each seed), ``curve`` (the metric of the first seed after each
        epoch), ``stopped_epoch`` (None = it was not stopped) and ``best_epoch`` of the first seed. Only ``busy``, if
        another process still trains in a run directory.
    """
    metric = Objective(**objective)
    settings = config_from_dict(config)
    scores: list[float] = []
    for number, name in enumerate(folders):
        folder = Path(name)
        if not _is_free(folder):
            return {"busy": True}
        one = replace(settings, seed=settings.seed + number)
        # The folds of a cross-validation are W&B runs of their own, so they cannot share one id.
        with _variables({**environment, "WANDB_RUN_ID": None if is_crossval else folder.name}):
            if is_crossval:
                scores.append(_cross_validated(one, folder, metric))
                continue
            stop = None
            if rule is not None and number == 0:
                stop = EarlyTermination(Hyperband(**rule), metric, folder, Path(sweep), sweep_id)
            stopped = _stopped_epoch(one, folder, stop)
            if stopped is not None:
                return _result_of_stopped(folder, metric, stopped)
            scores.append(score_of_run(folder, metric))
    first = Path(folders[0])
    return {
        "score": float(np.mean(scores)),
        "scores": scores,
        "curve": curve_of(first / "metrics.jsonl", metric),
        "stopped_epoch": None,
        "best_epoch": chosen_epoch(first / "metrics.jsonl"),
    }


def _stopped_epoch(config: RunConfig, folder: Path, stop: EarlyTermination | None) -> int | None:
    """Train a run, or continue it; return the epoch after which it was stopped early, or None."""
    from dialogue_ser.training import run

    before = read_json(folder / STOPPED)
    if before:
        return int(before["epoch"])
    is_begun = (folder / "config.yaml").is_file()
    try:
        run.train(config, folder, resume=is_begun, progress=False, callbacks=[stop] if stop else [])
    except StoppedEarly as stopped:
        write_atomically(folder / STOPPED, to_json({"epoch": stopped.epoch}))
        return stopped.epoch
    return None


def _result_of_stopped(folder: Path, metric: Objective, epoch: int) -> dict[str, Any]:
    """Return the result of a stopped trial: its metric at the best epoch so far."""
    curve = curve_of(folder / "metrics.jsonl", metric)
    best = chosen_epoch(folder / "metrics.jsonl")
    score = curve[best - 1] if best is not None and best <= len(curve) else metric.best(curve)
    return {"score": score, "scores": [score], "curve": curve, "stopped_epoch": epoch, "best_epoch": best}


def _cross_validated(config: RunConfig, folder: Path, metric: Objective) -> float:
    from dialogue_ser.evaluation.suite.work import cross_validate_cell
    from dialogue_ser.training.config.files import config_to_dict

    cross_validate_cell(config_to_dict(config), str(folder))
    return score_of_folds(folder, metric)


def _is_free(folder: Path) -> bool:
    """Wait until no process trains in a run directory; return False if one goes on for longer than it may."""
    limit = time.monotonic() + _OLD_PROCESS_SECONDS
    while True:
        try:
            refuse_if_locked(folder)
        except ConfigError:
            if time.monotonic() >= limit:
                return False
            time.sleep(0.5)
            continue
        return True


@contextmanager
def _variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables while the context is open; None removes one."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
