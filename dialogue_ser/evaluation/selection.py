"""How a result may be arrived at: chosen on dev, mean ± std over seeds; peeking at test has its own name."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import find_task, task_of
from dialogue_ser.tasks.classification import Classification

Protocol = Literal["dev", "legacy-test-peek"]


class PeekWarning(UserWarning):
    """Something was chosen on the split it is reported on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanStd:
    """A metric over seeds.

    Args:
        mean: over seeds.
        std: sample standard deviation (n − 1); 0 for a single seed.
        n: seeds.
        values: one per run, in the order given.
    """

    mean: float
    std: float
    n: int
    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "values": list(self.values)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which candidate was chosen, and by what.

    Args:
        name: the chosen candidate.
        protocol: dev, or legacy-test-peek.
        selection: every candidate's score on the split that chose.
        reported: the chosen candidate's scores on the reported split.
        gap: how much better the reported metric is than the one that choosing on dev gives; 0 under ``dev``, never
            negative under ``legacy-test-peek``.
    """

    name: str
    protocol: Protocol
    selection: dict[str, MeanStd]
    reported: dict[str, MeanStd]
    gap: float


def mean_std(values: Sequence[float]) -> MeanStd:
    """Mean and sample standard deviation.

    Raises:
        DialogueSerError: no value.

    >>> mean_std([0.5, 0.7]).mean, round(mean_std([0.5, 0.7]).std, 4)
    (0.6, 0.1414)
    """
    if not values:
        raise DialogueSerError("no run to average; give at least one run directory")
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return MeanStd(mean=float(np.mean(values)), std=std, n=len(values), values=tuple(map(float, values)))


def run_scores(run: Path, split: str) -> dict[str, float]:
    """The headline metrics of one run on one split, from its predictions.

    Raises:
        MissingDataError: no run or no predictions.
        DialogueSerError: no such split, or no labelled turn in it.
    """
    predictions = RunFiles(run).predictions.split(split)
    if not predictions.has_gold:
        raise DialogueSerError(f"{run}: split {split!r} has no labelled turn to score; choose another")
    values = {key: predictions.value(METRICS[key]) for key in task_of(predictions).headline}
    return {key: value for key, value in values.items() if value is not None}


def aggregate(runs: Sequence[Path], split: str = "test") -> dict[str, MeanStd]:
    """Mean ± std of every metric over runs that differ in their seed.

    Raises:
        DialogueSerError: no run, a seed given twice, unreadable runs.
    """
    seeds = [RunFiles(run).config.get("seed") for run in runs]
    twice = sorted({str(seed) for seed in seeds if seed is not None and seeds.count(seed) > 1})
    if twice:
        raise ConfigError(f"seed {', '.join(twice)} occurs in several of the runs; average runs with different seeds")
    scores = [run_scores(run, split) for run in runs]
    return {name: mean_std([values[name] for values in scores]) for name in scores[0]}


def choose(
    candidates: Mapping[str, Sequence[Path]],
    metric: str | None = None,
    dev: str = "dev",
    report: str = "test",
    protocol: Protocol = "dev",
) -> Choice:
    """Choose among candidates (each one or several seeds) and report the chosen one.

    Args:
        candidates: name to run directories.
        metric: a headline metric of the task; the best mean over seeds wins, the first on a tie. None = its default.
        dev: split that chooses under ``dev``.
        report: split that is reported, and that chooses under ``legacy-test-peek``.
        protocol: ``legacy-test-peek`` exists so that the gap to honest selection can be measured; it warns.

    Raises:
        ConfigError: no candidate, dev and report are one split, a metric that is no headline of the task, or under
            ``dev`` a run whose checkpoint was chosen on the reported split.
    """
    if not candidates:
        raise ConfigError("no candidate to choose from; give at least one name with its run directories")
    if dev == report:
        raise ConfigError(f"split {dev!r} cannot both choose and be reported; give another split to choose on")
    if protocol == "dev":
        _refuse_peeking(candidates, report)
    else:
        warnings.warn(
            f"legacy-test-peek: chosen on {report!r} itself, so its score is too high; do not publish it as it is",
            PeekWarning,
            stacklevel=2,
        )
    scores = {split: {name: aggregate(runs, split) for name, runs in candidates.items()} for split in {dev, report}}
    metric = metric or task_of(RunFiles(next(iter(candidates.values()))[0]).predictions).default_metric
    shown = set.intersection(*(set(found) for named in scores.values() for found in named.values()))
    if metric not in shown:
        raise ConfigError(unknown_name("metric to choose by", metric, sorted(shown)))
    honest, peeked = (
        min(candidates, key=lambda name: -METRICS[metric].sign * scores[split][name][metric].mean)
        for split in (dev, report)
    )
    chosen, by = (honest, dev) if protocol == "dev" else (peeked, report)
    return Choice(
        name=chosen,
        protocol=protocol,
        selection={name: scores[by][name][metric] for name in candidates},
        reported=scores[report][chosen],
        gap=METRICS[metric].sign * (scores[report][chosen][metric].mean - scores[report][honest][metric].mean),
    )


def protocol_of(run: RunFiles, reported: Sequence[str]) -> Protocol:
    """``legacy-test-peek`` if the run's checkpoint was chosen on test although test is reported, else ``dev``."""
    dev = _dev_split(run)
    return "legacy-test-peek" if dev in reported and dev.startswith("test") else "dev"


def check_selection(run: RunFiles) -> None:
    """Hold a run to its word: the epoch it calls best must be the best on dev by the metric its config names.

    Runs without history or configuration are let pass: there is nothing to hold them to. So are runs that keep the
    last epoch: they chose none.

    Raises:
        DialogueSerError: another epoch was better on dev.
    """
    if run.keeps_last:
        return
    best = run.summary.get("best_epoch")
    task = find_task(str(run.config.get("task") or Classification.kind))
    metric = str(run.config.get("training", {}).get("select") or task.default_metric)
    if metric not in METRICS:
        return  # a metric of the user's: which way is better is in its code, which is not run here
    sign = METRICS[metric].sign
    scores = {
        entry["epoch"]: float(entry["dev"][metric])
        for entry in run.epochs
        if isinstance(entry.get("dev"), dict) and entry["dev"].get(metric) is not None
    }
    if best not in scores:
        return
    top = max(scores, key=lambda epoch: sign * scores[epoch])
    if sign * scores[best] < sign * scores[top]:
        raise DialogueSerError(
            f"{run.folder}: its checkpoint is epoch {best} with dev {metric} {scores[best]:.4f}, but epoch {top} has "
            f"{scores[top]:.4f}: it was not chosen on dev; train it again with data.dev naming the dev split"
        )


def _refuse_peeking(candidates: Mapping[str, Sequence[Path]], report: str) -> None:
    problems = [
        f"{run}: its checkpoint was chosen on {report!r} (data.dev), which is also reported; train with another "
        "data.dev, or ask for the protocol legacy-test-peek"
        for runs in candidates.values()
        for run in runs
        if _dev_split(RunFiles(run)) == report
    ]
    if problems:
        raise ConfigError(*problems)


def _dev_split(run: RunFiles) -> str:
    return str(run.config.get("data", {}).get("dev", "dev"))
