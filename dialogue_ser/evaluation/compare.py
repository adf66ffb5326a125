"""Is system A better than system B? Paired over dialogues and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.metrics.bootstrap import Difference, paired_bootstrap, stack_seeds
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.run_files import RunFiles
from dialogue_ser.metrics.scores import METRICS, FloatArray
from dialogue_ser.metrics.significance import TestResult, randomisation_test


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """System A against system B on one split.

    Args:
        metric: one of METRICS.
        split: where.
        difference: A − B with its paired interval over dialogues and seeds.
        randomisation: paired approximate randomisation over dialogues; None where A and B have other numbers of seeds.
    """

    metric: str
    split: str
    difference: Difference
    randomisation: TestResult | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
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
    metric: str = "weighted_f1",
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two systems, each given by the run directories of its seeds.

    Args:
        runs_a: one run directory per seed of A.
        runs_b: the same of B; the number of seeds may differ.
        split: split to compare on; every run must have predicted the same turns of it.
        metric: one of METRICS.
        n_resamples: bootstrap draws (of dialogues and of seeds) and random swaps.
        seed: of the draws.

    Raises:
        ConfigError: no runs, an unknown metric, no draws or a negative seed.
        DialogueSerError: runs over other turns, labels or gold.
    """
    if metric not in METRICS:
        raise ConfigError(unknown_name("metric", metric, METRICS))
    if n_resamples < 1 or seed < 0:
        raise ConfigError(
            f"n_resamples {n_resamples}, seed {seed}: expected n_resamples of at least 1 and a seed of at least 0"
        )
    if not runs_a or not runs_b:
        raise ConfigError("nothing to compare; give at least one run directory of each system")
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
    metric: str = "weighted_f1",
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """As :func:`compare`, for tables already read (each one split, one table per seed)."""
    reference = a[0]
    confusions_a, confusions_b = _stacked(a, reference), _stacked(b, reference)
    difference = paired_bootstrap(confusions_a, confusions_b, metric, n_resamples, seed=seed)
    test = None
    if len(a) == len(b):
        test = randomisation_test(confusions_a, confusions_b, metric, n_resamples, seed)
    return Comparison(metric=metric, split=split, difference=difference, randomisation=test)


def _stacked(tables: Sequence[Predictions], reference: Predictions) -> FloatArray:
    return stack_seeds([table.aligned_to(reference).confusions() for table in tables])
