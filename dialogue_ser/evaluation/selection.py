"""Mean ± std of runs with different seeds, and the choice of the best system on dev.

A choice on test is possible too, but its result is marked with the protocol ``legacy-test-peek``.
"""

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
    """A checkpoint or a system was chosen on the split that is reported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanStd:
    """Mean and standard deviation of a metric, e.g. over seeds.

    Args:
        mean: mean of the values.
        std: sample standard deviation (divided by n − 1); 0 for a single value.
        n: number of values.
        values: the values, e.g. one per run, in their order.
    """

    mean: float
    std: float
    n: int
    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**asdict(self), "values": list(self.values)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The candidate that was chosen, and the scores that chose it.

    Args:
        name: name of the chosen candidate.
        protocol: ``dev`` or ``legacy-test-peek``.
        selection: candidate → its score on the split that chose.
        reported: metric → score of the chosen candidate on the reported split.
        gap: how much better the reported metric is than with a choice on dev. It is 0 for ``dev`` and never negative
            for ``legacy-test-peek``.
    """

    name: str
    protocol: Protocol
    selection: dict[str, MeanStd]
    reported: dict[str, MeanStd]
    gap: float


def mean_std(values: Sequence[float]) -> MeanStd:
    """Return the mean and the sample standard deviation of some values.

    Raises:
        DialogueSerError: there is no value.

    >>> mean_std([0.5, 0.7]).mean, round(mean_std([0.5, 0.7]).std, 4)
    (0.6, 0.1414)
    """
    if not values:
        raise DialogueSerError("there is no run to average; give at least one run directory")
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return MeanStd(mean=float(np.mean(values)), std=std, n=len(values), values=tuple(map(float, values)))


def run_scores(run: Path, split: str) -> dict[str, float]:
    """Return the headline metrics of one run on one split, computed from its predictions.

    Raises:
        MissingDataError: the run directory or its predictions do not exist.
        DialogueSerError: the split does not exist, or it has no labelled turn.
    """
    predictions = RunFiles(run).predictions.split(split)
    if not predictions.has_gold:
        raise DialogueSerError(f"{run}: split {split!r} has no labelled turn to score; choose another")
    values = {key: predictions.value(METRICS[key]) for key in task_of(predictions).headline}
    return {key: value for key, value in values.items() if value is not None}


def aggregate(runs: Sequence[Path], split: str = "test") -> dict[str, MeanStd]:
    """Return metric → mean ± std over runs that differ in their seed.

    Raises:
        DialogueSerError: no run is given, two runs have the same seed, or a run cannot be read.
    """
    seeds = [RunFiles(run).config.get("seed") for run in runs]
    repeated = sorted({str(seed) for seed in seeds if seed is not None and seeds.count(seed) > 1})
    if repeated:
        raise ConfigError(
            f"seed {', '.join(repeated)} occurs in several of the runs; average runs with different seeds"
        )
    scores = [run_scores(run, split) for run in runs]
    return {name: mean_std([values[name] for values in scores]) for name in scores[0]}


def choose(
    candidates: Mapping[str, Sequence[Path]],
    metric: str | None = None,
    dev: str = "dev",
    report: str = "test",
    protocol: Protocol = "dev",
) -> Choice:
    """Choose the best candidate and return its scores.

    Args:
        candidates: name → run directories, one per seed.
        metric: headline metric of the task that chooses; None = the task's default metric. The best mean over seeds
            wins, and the first candidate if two are equal.
        dev: split that chooses if the protocol is ``dev``.
        report: split that is reported. It also chooses if the protocol is ``legacy-test-peek``.
        protocol: ``dev``, or ``legacy-test-peek`` to measure the gap to an honest choice. The second one gives a
            warning.

    Raises:
        ConfigError: there is no candidate, dev and report are the same split, the metric is no headline metric of the
            task, or the protocol is ``dev`` but a checkpoint was chosen on the reported split.
    """
    _check_choice(candidates, dev, report, protocol)
    scores = {split: {name: aggregate(runs, split) for name, runs in candidates.items()} for split in {dev, report}}
    metric = metric or task_of(RunFiles(next(iter(candidates.values()))[0]).predictions).default_metric
    computed = set.intersection(*(set(found) for named in scores.values() for found in named.values()))
    if metric not in computed:
        raise ConfigError(unknown_name("metric to choose by", metric, sorted(computed)))
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


def _check_choice(candidates: Mapping[str, Sequence[Path]], dev: str, report: str, protocol: Protocol) -> None:
    """Refuse a choice that cannot be made or is not honest. Warn if it is dishonest by intention (legacy-test-peek)."""
    if not candidates:
        raise ConfigError("there is no candidate to choose from; give at least one name with its run directories")
    if dev == report:
        raise ConfigError(f"split {dev!r} cannot both choose and be reported; give another split to choose on")
    if protocol == "dev":
        _refuse_peeking(candidates, report)
        return
    warnings.warn(
        f"legacy-test-peek: the system is chosen on {report!r} itself, so its score is too high; do not publish it as "
        "an honest score",
        PeekWarning,
        stacklevel=3,  # the caller of choose
    )


def protocol_of(run: RunFiles, reported: Sequence[str]) -> Protocol:
    """Return ``legacy-test-peek`` if the checkpoint was chosen on test and test is reported, else ``dev``."""
    dev = _dev_split(run)
    return "legacy-test-peek" if dev in reported and dev.startswith("test") else "dev"


def check_selection(run: RunFiles) -> None:
    """Check that the epoch of the checkpoint is the best one on dev, by the metric that the configuration names.

    Runs without a history or a configuration cannot be checked and are accepted. Runs that keep the last epoch are
    accepted too, because they choose no epoch.

    Raises:
        DialogueSerError: another epoch was better on dev.
    """
    if run.keeps_last:
        return
    best = run.summary.get("best_epoch")
    task = find_task(str(run.config.get("task") or Classification.kind))
    metric = str(run.config.get("training", {}).get("select") or task.default_metric)
    if metric not in METRICS:
        return  # only the code of a user's metric knows whether higher is better, and this code is not run here
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
            f"{scores[top]:.4f}: it was not chosen on dev; train it again and set data.dev to the dev split"
        )


def _refuse_peeking(candidates: Mapping[str, Sequence[Path]], report: str) -> None:
    problems = [
        f"{run}: its checkpoint was chosen on {report!r} (data.dev), which is also reported; train with another "
        "data.dev, or use the protocol legacy-test-peek"
        for runs in candidates.values()
        for run in runs
        if _dev_split(RunFiles(run)) == report
    ]
    if problems:
        raise ConfigError(*problems)


def _dev_split(run: RunFiles) -> str:
    return str(run.config.get("data", {}).get("dev", "dev"))
