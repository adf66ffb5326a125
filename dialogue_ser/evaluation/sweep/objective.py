"""What a sweep makes better: a metric on dev at the epoch that dev chose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.foreign_text.json_text import parse_json
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.search_space.hyperband import Goal
from dialogue_ser.search_space.sweep_file import Sweep
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.run_config import RunConfig

DEV = "dev/"
LOSS = "loss"
_EPOCH = b'"kind": "epoch"'


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The metric of a sweep.

    Args:
        name: its name in the sweep file, e.g. ``dev/weighted_f1``.
        key: key of the metric, e.g. ``weighted_f1``; ``loss`` is the loss on dev.
        goal: whether small or great values are good.
    """

    name: str
    key: str
    goal: Goal

    def in_row(self, row: Any) -> float:
        """Return the metric in an ``epoch`` line of metrics.jsonl; NaN if it is not defined there."""
        value = row.get("dev_loss") if self.key == LOSS else (row.get("dev") or {}).get(self.key)
        return float(value) if isinstance(value, int | float) else math.nan

    def best(self, values: Sequence[float]) -> float | None:
        """Return the best of some values; None if none is a number."""
        known = [value for value in values if math.isfinite(value)]
        return (max if self.goal == "maximize" else min)(known, default=None)


def objective_of(sweep: Sweep) -> Objective:
    """Return the metric of a sweep file.

    Raises:
        ConfigError: there is none, it is not one of dev, or it does not exist.
    """
    if sweep.method == "custom":
        raise ConfigError(
            f"{sweep.at('method')}: custom names a scheduler outside of the file; write grid, random or bayes"
        )
    if sweep.metric is None:
        raise ConfigError(f"{sweep.path}: there is no metric; add metric: {{name: dev/weighted_f1, goal: maximize}}")
    name, where = sweep.metric.name, sweep.at("metric", "name")
    if name.startswith(("test/", "test_", "test.")) or name == "test":
        raise ConfigError(
            f"{where}: found {name}, and test chooses nothing: a score that test has chosen is too high; write a "
            "metric of dev, e.g. dev/weighted_f1"
        )
    if name in ("dev_loss", "dev/loss"):
        return Objective(name=name, key=LOSS, goal=sweep.metric.goal)
    if not name.startswith(DEV):
        raise ConfigError(
            f"{where}: found {name}, expected a metric of dev as dialogue-ser train logs it, e.g. dev/weighted_f1 or "
            "dev/loss"
        )
    return Objective(name=name, key=name.removeprefix(DEV), goal=sweep.metric.goal)


def goal_warning(objective: Objective) -> str:
    """Return a warning if the goal is the opposite of what the metric means; "" = it is not."""
    is_loss = objective.key == LOSS
    if not is_loss and objective.key not in METRICS:  # a metric of the user
        return ""
    wanted: Goal = "minimize" if is_loss or METRICS[objective.key].sign < 0 else "maximize"
    if objective.goal == wanted:
        return ""
    which = "smaller" if wanted == "minimize" else "greater"
    return (
        f"metric.goal is {objective.goal}, but {which} values of {objective.name} are better; write goal: {wanted} "
        "(Weights & Biases takes minimize if goal is left out)"
    )


def check_metric(objective: Objective, config: RunConfig, where: str, *, is_crossval: bool) -> None:
    """Check that runs of a configuration have the metric.

    Args:
        objective: the metric.
        config: the configuration.
        where: place of the metric in the file.
        is_crossval: whether every trial is a cross-validation.

    Raises:
        ConfigError: they have not.
    """
    if objective.key == LOSS:
        if is_crossval or config.training.ensemble > 1:
            raise ConfigError(f"{where}: {objective.name} is unknown for crossval and ensembles; name another metric")
        return
    names = [*find_task(config.task).headline, *config.metrics, str(config.training.select)]
    known = {METRICS.find(name).key for name in names}
    if objective.key in known:
        return
    shown = [f"{DEV}{key}" for key in sorted(known)]
    one = METRICS.get(objective.key)
    if one is None:
        raise ConfigError(f"{where}: {unknown_name('metric', objective.name, shown)}")
    if one.task not in (None, config.task):
        raise ConfigError(f"{where}: {objective.name} is no metric of a {config.task}; name one of {', '.join(shown)}")
    raise ConfigError(
        f"{where}: runs do not compute {objective.name}; add --metrics and '[{objective.key}]' to command, or name one "
        f"of {', '.join(shown)}"
    )


def curve_of(metrics: Path, objective: Objective) -> list[float]:
    """Return the metric after each epoch of a run, from its metrics.jsonl; empty if there is no such file."""
    try:
        lines = metrics.read_bytes().splitlines()
    except OSError:
        return []
    rows = epoch_rows(lines)
    return [objective.in_row(rows[epoch]) for epoch in sorted(rows)]


def epoch_rows(lines: Sequence[bytes]) -> dict[int, Any]:
    """Return epoch → line of metrics.jsonl. A broken line is left out, and of a repeated epoch the last line counts."""
    rows = {}
    for line in lines:
        if _EPOCH in line:
            try:
                row = parse_json(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("epoch"), int):
                rows[row["epoch"]] = row
    return rows


def chosen_epoch(metrics: Path) -> int | None:
    """Return the epoch that dev has chosen so far; None if no epoch is finished."""
    try:
        rows = epoch_rows(metrics.read_bytes().splitlines())
    except OSError:
        return None
    return max((epoch for epoch, row in rows.items() if row.get("is_best")), default=None)


def score_of_run(folder: Path, objective: Objective) -> float:
    """Return the metric on dev of a finished run, at the epoch that dev chose.

    Raises:
        DialogueSerError: it is not defined there.
    """
    run = RunFiles(folder)
    summary = run.summary
    if objective.key == LOSS:
        rows = {row["epoch"]: row for row in run.epochs}
        value: Any = objective.in_row(rows.get(summary.get("best_epoch"), {}))
    else:
        split = str((run.config.get("data") or {}).get("dev", "dev"))
        value = (summary.get("scores") or {}).get(split, {}).get(objective.key)
    return _checked(value, folder, objective)


def score_of_folds(folder: Path, objective: Objective) -> float:
    """Return the mean over the folds of a cross-validation of the metric on the dev turns of each fold.

    Raises:
        DialogueSerError: a fold has no dev turn, or the metric is not defined there.
    """
    from dialogue_ser.metrics.predictions import predictions_of

    frame = RunFiles(folder).predictions.frame
    found = []
    for name, rows in frame[frame["split"] == "dev"].groupby("fold", sort=True):
        turns = predictions_of(rows.drop(columns="fold").reset_index(drop=True)).split("dev")
        value = turns.value(METRICS.find(objective.key))
        found.append(_checked(value, folder / f"fold {name}", objective))
    if not found:
        raise DialogueSerError(f"{folder}: no fold has dev turns, so dev can choose nothing; use another data.cut")
    return float(np.mean(found))


def _checked(value: Any, folder: Path, objective: Objective) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise DialogueSerError(f"{folder}: {objective.name} is not defined on dev; name another metric in the sweep")
    return float(value)
