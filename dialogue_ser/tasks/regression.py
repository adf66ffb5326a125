"""Regression: values of named dimensions per turn, e.g. valence, arousal, dominance. The scores are these values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name
from dialogue_ser.metrics.absent import absent_dimensions_note
from dialogue_ser.metrics.bootstrap import bootstrap
from dialogue_ser.metrics.confusion import UNLABELLED, FloatArray
from dialogue_ser.metrics.predictions import GOLD_PREFIX, PREDICTED_PREFIX, Predictions
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks.base import Targets, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Regression(Task):
    """The task to predict one value per dimension for each turn.

    A score is a value relative to a centre, divided by a scale. So an untrained system predicts values near the mean.

    Args:
        dimensions: names of the dimensions. Scores and columns have the same order.
        centres: value that a score of 0 means, per dimension: the mean of the training turns.
        scales: value that a score difference of 1 means, per dimension: the standard deviation of the training turns.
    """

    kind = "regression"
    gives_probabilities = False
    output_name = "values"
    losses = ("ccc", "mse")
    default_metric = "ccc"
    headline = ("ccc", "pearson_r", "mae")
    estimators = ("ridge",)
    fold_metric = "ccc"
    floors = ("mean", "tfidf-ridge")
    sections = ("result", "scores", "training", "dimensions", "conversation", "courses", "deviations", "run")
    crossval_sections = ("result", "scores", "folds", "dimensions", "speakers", "deviations", "run")
    crossval_tiles = ("pearson_r", "mae", "mse")
    score_remark = (
        "Over all folds: all test turns as one set. Each score is the mean over the annotated dimensions. MAE and MSE "
        "are in the units of the annotation."
    )
    group_remark = "CCC and r of a few turns say little. They are 0 if gold does not vary."
    lacking_remarks: ClassVar[Mapping[str, str]] = {
        "test": "a dimension has no annotated test turn: scores there are the means over the others.",
        "dev": "a dimension has no annotated dev turn: the scores that choose are the means over the others.",
        "train": "a dimension has no annotated train turn: the model of such a fold never learns it.",
    }
    names_key = "dimensions"

    dimensions: tuple[str, ...]
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.dimensions or len(set(self.dimensions)) < len(self.dimensions):
            raise ConfigError(
                f"data.targets: found {', '.join(self.dimensions) or 'none'}, expected each dimension once"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions."""
        return self.dimensions

    @classmethod
    def of_corpus(cls, corpus: Corpus, *, targets: Sequence[str] = (), leave_out: Sequence[str] = ()) -> "Regression":
        """Return the task with all dimensions of a corpus, or with the given ones.

        Raises:
            ConfigError: the corpus does not have a dimension, or there are classes to leave out.
            CorpusError: the corpus has no dimensions.
        """
        if leave_out:
            raise ConfigError("data.leave_out: names classes, which a regression does not have; remove it")
        if not corpus.dimensions:
            raise CorpusError(
                f"corpus {corpus.name}: has classes only and no dimension such as valence; learn the classes with "
                "--task classification, or name columns with numbers (reader table: columns.targets)"
            )
        unknown = [name for name in targets if name not in corpus.dimensions]
        if unknown:
            raise ConfigError(
                *(f"data.targets: {unknown_name('dimension', name, corpus.dimensions)}" for name in unknown)
            )
        return cls(tuple(targets) or corpus.dimensions)

    def fitted(self, train: Sequence[Dialogue]) -> "Regression":
        """Return the task with mean and standard deviation of the training values. A deviation of 0 becomes 1."""
        values = [[turn.targets.get(name, np.nan) for name in self.dimensions] for turn in utterances(train)]
        value_NS = np.ma.masked_invalid(np.array(values, dtype=np.float64).reshape(-1, self.n_scores))
        centre_S, scale_S = value_NS.mean(0).filled(0.0), value_NS.std(0).filled(1.0)
        scale_S[scale_S < 1e-8] = 1.0
        return replace(self, centres=tuple(centre_S.tolist()), scales=tuple(scale_S.tolist()))

    def description(self) -> dict[str, Any]:
        """Return kind, dimensions, centres and scales as plain JSON values."""
        scale = {"centres": list(self.centres), "scales": list(self.scales)} if self.centres else {}
        return {"task": {"kind": self.kind, "dimensions": list(self.dimensions), **scale}}

    def is_labelled(self, turn: Utterance, *, soft: bool = False) -> bool:
        """Return whether a turn has a value in at least one dimension."""
        return any(name in turn.targets for name in self.dimensions)

    def counts(self, turns: Iterable[Utterance]) -> dict[str, int]:
        """Return dimension → number of annotated turns."""
        counts = Counter(name for turn in turns for name in turn.targets)
        return {name: counts[name] for name in self.dimensions}

    def absent_note(self, split: str, absent: Sequence[str], scores: Mapping[str, Any] | None = None) -> str:
        """Return a sentence that the scores are means over the other dimensions."""
        return absent_dimensions_note(split, absent)

    def absent_of_scores(self, scores: Mapping[str, Any]) -> list[str]:
        """Return the dimensions without a gold value."""
        return [name for name, value in scores["per_dimension"].items() if not value["n"]]

    def fingerprint(self, corpus: Corpus) -> str:
        """Return the SHA-256 of the corpus, values included."""
        return corpus.fingerprint(with_targets=True)

    def gold(self, turn: Utterance) -> dict[str, Any]:
        """Return the columns ``gold_<dimension>``."""
        return {GOLD_PREFIX + name: turn.targets.get(name, float("nan")) for name in self.dimensions}

    def batch_targets(self, dialogues: Sequence[Dialogue], shape: tuple[int, int]) -> Targets:
        """Return ``value`` ``[B, T, S]``, NaN where there is no value, and ``label``, where no turn has a class."""
        value_BTS = np.full((*shape, self.n_scores), np.nan, dtype=np.float32)
        for b, dialogue in enumerate(dialogues):
            for t, turn in enumerate(dialogue):
                value_BTS[b, t] = [turn.targets.get(name, np.nan) for name in self.dimensions]
        return {"label": np.full(shape, UNLABELLED, dtype=np.int64), "value": value_BTS}

    def outputs(self, scores: "Tensor") -> "Tensor":
        """Return values in the units of the dimensions."""
        value = scores if scores.dtype.itemsize >= 4 else scores.float()
        if not self.centres:
            return value
        scale_S, centre_S = (_on_device(numbers, value.device, value.dtype) for numbers in (self.scales, self.centres))
        return value * scale_S + centre_S

    def scores_of_values(self, value_NS: FloatArray) -> FloatArray:
        """Return values relative to the centres, divided by the scales."""
        scores_NS: FloatArray = (value_NS - np.array(self.centres or 0.0)) / np.array(self.scales or 1.0)
        return scores_NS

    def mean_scores(self, scores: "Tensor") -> "Tensor":
        """Return the mean of the scores. Its values are the mean of the values."""
        return (scores if scores.dtype.itemsize >= 4 else scores.float()).mean(0)

    def numbers(self, outputs_NS: FloatArray) -> FloatArray:
        """Return the values unchanged."""
        return outputs_NS

    @property
    def number_columns(self) -> tuple[str, ...]:
        """Column name ``predicted_<dimension>`` of every dimension."""
        return tuple(PREDICTED_PREFIX + name for name in self.dimensions)

    def prediction_columns(self, numbers_NS: FloatArray) -> dict[str, Any]:
        """Return the columns ``predicted_<dimension>``."""
        return {name: numbers_NS[:, i] for i, name in enumerate(self.number_columns)}

    def item_scores(self, statistic: FloatArray) -> dict[str, dict[str, Any]]:
        """Return dimension → n and every metric of values. They are None if it has no annotation."""
        values = {metric.key: metric.function(statistic) for metric in self._own_metrics()}
        n_S = statistic[:, 0].astype(int).tolist()
        return {
            name: {"n": n_S[i], **{key: float(value[i]) if n_S[i] else None for key, value in values.items()}}
            for i, name in enumerate(self.dimensions)
        }

    def score_details(self, predictions: Predictions) -> dict[str, Any]:
        """Return ``per_dimension``, see :meth:`item_scores`."""
        return {"per_dimension": self.item_scores(predictions.statistics().sum(0))}

    def interval_details(self, statistics_N: FloatArray, n_resamples: int, level: float, seed: int) -> dict[str, Any]:
        """Return ``dimension_intervals``: dimension → metric → interval; empty if the dimension has no annotation."""
        known = {name: i for i, name in enumerate(self.dimensions) if statistics_N[:, i, 0].any()}

        def values(moments: FloatArray) -> dict[str, FloatArray]:
            found = {metric.key: metric.function(moments) for metric in self._own_metrics()}
            return {f"{name}/{key}": value[..., i] for name, i in known.items() for key, value in found.items()}

        found = bootstrap(statistics_N, values, n_resamples, level, seed)
        per_dimension: dict[str, dict[str, Any]] = {name: {} for name in self.dimensions}
        for key, interval in found.items():
            name, _, metric = key.rpartition("/")
            per_dimension[name][metric] = interval.to_dict()
        return {"dimension_intervals": per_dimension}

    def further_summary(self, predictions: Predictions) -> dict[str, Any]:
        """Return nothing, because values have no confidence that could be calibrated."""
        return {}

    def _own_metrics(self) -> list[Metric]:
        return [metric for key in METRICS if (metric := METRICS[key]).needs == "moments"]


@lru_cache(maxsize=64)
def _on_device(numbers: tuple[float, ...], device: Any, dtype: Any) -> "Tensor":
    """Return the numbers as a tensor on a device. They are copied once, without waiting for the GPU."""
    import torch

    with torch.inference_mode(False):  # the tensor is kept, and training cannot use a tensor of inference mode
        own = torch.tensor(numbers, dtype=dtype)
        return (own.pin_memory() if device.type == "cuda" else own).to(device, non_blocking=True)
