"""Compare two systems: is A better than B? The comparison is paired over dialogues and includes all seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.metrics.bootstrap import Difference
from dialogue_ser.metrics.intervals import paired_comparison
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.significance import TestResult
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The comparison of system A with system B on one split.

    Args:
        metric: key of the metric.
        split: name of the split.
        difference: A − B with its paired interval over dialogues and seeds.
        randomisation: paired approximate randomisation test over dialogues. None if A and B have different numbers
            of seeds, or if the metric is a function of turns.
    """

    metric: str
    split: str
    difference: Difference
    randomisation: TestResult | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "metric": self.metric,
            "split": self.split,
            "difference": self.difference.to_dict(),
            "randomisation": None if self.randomisation is None else self.randomisation.to_dict(),
        }


def compare(
    runs_a: Sequence[Path],
    runs_b: Sequence[Path],
    split: str = "test",
    metric: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two systems. Each is given by the run directories of its seeds.

    Args:
        runs_a: one run directory per seed of A.
        runs_b: one run directory per seed of B. The number of seeds may differ from A's.
        split: split to compare on. Every run must have predicted the same turns of it.
        metric: key in METRICS, or your own function as ``package.module:function``; None = the default metric of the
            task.
        n_resamples: number of bootstrap draws (of dialogues and seeds) and of random swaps.
        seed: random seed of the draws.

    Raises:
        ConfigError: no run is given, the metric is unknown, n_resamples is below 1 or the seed is negative.
        DialogueSerError: the runs have different turns, classes or gold labels, or the metric is for the other kind of
            task.
    """
    if metric is not None:
        METRICS.find(metric)
    if n_resamples < 1 or seed < 0:
        raise ConfigError(
            f"compare: found n_resamples {n_resamples} and seed {seed}, expected n_resamples of at least 1 and a seed "
            "of at least 0"
        )
    if not runs_a or not runs_b:
        raise ConfigError("compare: a system has no run; give at least one run directory of each system")
    return compare_predictions(
        [RunFiles(run).predictions.split(split) for run in runs_a],
        [RunFiles(run).predictions.split(split) for run in runs_b],
        split=split,
        metric=metric,
        n_resamples=n_resamples,
        seed=seed,
    )


def compare_predictions(
    a: Sequence[Predictions],
    b: Sequence[Predictions],
    split: str = "test",
    metric: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two systems by their tables of predictions: one table of one split per seed. See :func:`compare`."""
    chosen = METRICS.find(metric or task_of(a[0]).default_metric)
    difference, test = paired_comparison(a, b, chosen, n_resamples, seed=seed)
    return Comparison(metric=chosen.key, split=split, difference=difference, randomisation=test)
