"""Classification: one class per turn. The scores are unnormalised log-probabilities."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.metrics.absent import absent_classes_note
from dialogue_ser.metrics.averages import class_scores, left_out_indices, micro_f1
from dialogue_ser.metrics.bootstrap import bootstrap, class_f1_function
from dialogue_ser.metrics.calibration import calibration
from dialogue_ser.metrics.confusion import UNLABELLED, FloatArray
from dialogue_ser.metrics.predictions import GOLD, PREDICTED, PROBABILITY_PREFIX, ClassPredictions, Predictions
from dialogue_ser.metrics.slices import CHANGES, SHIFTS, Names, emotion_change, emotion_shift
from dialogue_ser.metrics.table import Metric
from dialogue_ser.tasks.base import Targets, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Classification(Task):
    """The task to predict one class of a label set per turn.

    Args:
        label_set: the classes. Scores and columns have the same order.
        leave_out: classes that micro F1 leaves out. If it is empty, micro F1 is not computed, because it would be equal
            to accuracy.
    """

    kind = "classification"
    gives_probabilities = True
    output_name = "log-probs"
    losses = ("nll", "binary", "pseudo-focal")
    default_metric = "weighted_f1"
    headline = ("weighted_f1", "accuracy", "uar", "macro_f1")
    estimators = ("linear-svm", "logistic")
    fold_metric = "uar"
    floors = ("majority", "tfidf-logistic")
    sections = (
        "result", "scores", "training", "emotions", "conversation", "confidence", "dialogues", "errors", "run",
    )  # fmt: skip
    crossval_sections = ("result", "scores", "published", "folds", "emotions", "speakers", "errors", "run")
    crossval_tiles = ("accuracy", "macro_f1", "weighted_f1", "macro_f05", "auc")
    score_remark = (
        "Over all folds: all test turns as one set. Macro: mean over classes. Weighted: mean over classes, weighted by "
        "their gold turns. Macro recall is UA, weighted recall is WA. AUC over all folds compares probabilities that "
        "come from the models of different folds."
    )
    group_remark = (
        "A class that a group lacks counts as never found in UA. This makes UA of groups with few turns lower."
    )
    lacking_remarks: ClassVar[Mapping[str, str]] = {
        "test": (
            "a class has no test turn: it counts as never found, which lowers UA and macro scores there and in the "
            "mean over folds."
        ),
        "dev": "a class has no dev turn: it counts as never found in the scores that choose.",
        "train": "a class has no train turn: the model of such a fold never learns it.",
    }
    names_key = "labels"

    label_set: LabelSet
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        left_out_indices(self.leave_out, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.label_set.labels

    @property
    def chance(self) -> dict[str, float]:
        """UA of a random guess, under the heading ``chance``."""
        return {"chance": 1 / self.n_scores}

    @classmethod
    def of_corpus(
        cls, corpus: Corpus, *, targets: Sequence[str] = (), leave_out: Sequence[str] = ()
    ) -> "Classification":
        """Return the task with the classes of a corpus.

        Raises:
            ConfigError: there are targets, which only a regression has, or a class to leave out does not exist.
            CorpusError: the corpus has no classes.
        """
        if targets:
            raise ConfigError(
                f"data.targets: {', '.join(targets)} are for a regression; remove them, or learn them with "
                "--task regression"
            )
        if corpus.label_set is None:
            raise CorpusError(
                f"corpus {corpus.name}: has no classes, only {', '.join(corpus.dimensions)}; learn these with "
                "--task regression"
            )
        return cls(corpus.label_set, tuple(leave_out))

    def description(self) -> dict[str, Any]:
        """Return the label set as plain JSON values."""
        return {"label_set": {"name": self.label_set.name, "labels": list(self.names)}}

    def is_labelled(self, turn: Utterance, *, soft: bool = False) -> bool:
        """Return whether a turn has a label or, with ``soft``, votes."""
        return turn.label is not None or (soft and bool(turn.votes))

    def counts(self, turns: Iterable[Utterance]) -> dict[str, int]:
        """Return class → number of its turns."""
        counts = Counter(turn.label for turn in turns)
        return {label: counts[label] for label in self.names}

    def absent_note(self, split: str, absent: Sequence[str], scores: Mapping[str, Any] | None = None) -> str:
        """Return a sentence that absent classes count as never found."""
        return absent_classes_note(split, absent, self.n_scores, None if scores is None else scores["uar"])

    def absent_of_scores(self, scores: Mapping[str, Any]) -> list[str]:
        """Return the classes without a gold turn."""
        return [label for label, value in scores["per_class"].items() if not value["support"]]

    def gold(self, turn: Utterance) -> dict[str, Any]:
        """Return the column ``gold``."""
        return {GOLD: turn.label}

    def batch_targets(self, dialogues: Sequence[Dialogue], shape: tuple[int, int]) -> Targets:
        """Return ``label`` (class index, or −100 for no label) and, if there are votes, ``label_distribution``.

        Raises:
            CorpusError: a label is not in the label set.
        """
        label_BT = np.full(shape, UNLABELLED, dtype=np.int64)
        votes_BTC = np.zeros((*shape, self.n_scores), dtype=np.float32)
        for b, dialogue in enumerate(dialogues):
            for t, turn in enumerate(dialogue):
                if turn.label is not None:
                    label_BT[b, t] = self.label_set.index(turn.label)
                for name, count in (turn.votes or {}).items():
                    votes_BTC[b, t, self.label_set.index(name)] = count
        total = votes_BTC.sum(-1, keepdims=True)
        soft = {"label_distribution": votes_BTC / np.maximum(total, 1e-12)} if total.any() else {}
        return {"label": label_BT, **soft}

    def outputs(self, scores: "Tensor") -> "Tensor":
        """Return the log-softmax over the last axis. In half precision the probabilities would not sum to 1."""
        return (scores if scores.dtype.itemsize >= 4 else scores.float()).log_softmax(-1)

    def mean_scores(self, scores: "Tensor") -> "Tensor":
        """Return the log of the mean probabilities. It is computed from logs, because probabilities may round to 0."""
        return self.outputs(scores).logsumexp(0) - float(np.log(len(scores)))

    def numbers(self, outputs_NS: FloatArray) -> FloatArray:
        """Return probabilities. They are normalised again, because float32 rounding leaves an error of 1e-7 in sums."""
        p_NC = np.exp(outputs_NS)
        normalised: FloatArray = p_NC / p_NC.sum(axis=-1, keepdims=True)
        return normalised

    @property
    def number_columns(self) -> tuple[str, ...]:
        """Column name ``p_<class>`` of every class."""
        return tuple(PROBABILITY_PREFIX + label for label in self.names)

    def prediction_columns(self, numbers_NS: FloatArray) -> dict[str, Any]:
        """Return the columns ``predicted`` (the most probable class) and ``p_<class>``."""
        best = [self.names[column] for column in numbers_NS.argmax(-1)]
        return {PREDICTED: best, **{name: numbers_NS[:, i] for i, name in enumerate(self.number_columns)}}

    def metrics(self, extra: Iterable[str] = ()) -> dict[str, Metric]:
        """Return the library's metrics and the further ones. Micro F1 is included only if classes are left out."""
        found = super().metrics(extra)
        micro = found.pop("micro_f1")
        if not self.leave_out:
            return found
        indices = left_out_indices(self.leave_out, self.names)
        heading = f"{micro.heading} without {', '.join(self.leave_out)}"
        return {**found, micro.key: replace(micro, heading=heading, function=partial(micro_f1, leave_out=indices))}

    def item_scores(self, statistic: FloatArray) -> dict[str, dict[str, Any]]:
        """Return class → precision, recall, f1, f05, support (its gold turns) and predicted (turns that get it)."""
        values = class_scores(statistic)
        return {
            label: {
                **{name: float(value[i]) for name, value in values.items()},
                "support": int(statistic[i].sum()),
                "predicted": int(statistic[:, i].sum()),
            }
            for i, label in enumerate(self.names)
        }

    def score_details(self, predictions: Predictions) -> dict[str, Any]:
        """Return ``per_class`` (:meth:`item_scores`, and auc) and ``confusion`` (row = gold)."""
        assert isinstance(predictions, ClassPredictions)
        confusion = predictions.statistics().sum(0).astype(np.int64)
        per_class = {
            label: {**value, "auc": None if (curve := predictions.curves[label]) is None else curve.auc}
            for label, value in self.item_scores(confusion).items()
        }
        return {"per_class": per_class, "confusion": confusion.tolist()}

    def interval_details(self, statistics_N: FloatArray, n_resamples: int, level: float, seed: int) -> dict[str, Any]:
        """Return ``class_intervals``: class → interval of its F1."""
        found = bootstrap(statistics_N, class_f1_function(self.names), n_resamples, level, seed)
        return {"class_intervals": {label: interval.to_dict() for label, interval in found.items()}}

    def further_summary(self, predictions: Predictions) -> dict[str, Any]:
        """Return ``calibration``."""
        assert isinstance(predictions, ClassPredictions)
        return {"calibration": calibration(predictions.probabilities_NC, predictions.gold_N).to_dict()}

    def slices(self, predictions: Predictions) -> Mapping[str, tuple[Names, Sequence[str]]]:
        """Return the slices of every task, and those by the emotion of the turn before."""
        assert isinstance(predictions, ClassPredictions)
        shifts = emotion_shift(predictions.gold_N, predictions.dialogue_N, predictions.speakers)
        changes = emotion_change(predictions.gold_N, predictions.dialogue_N)
        return {
            "emotion_shift": (shifts, SHIFTS),
            "emotion_change": (changes, CHANGES),
            **super().slices(predictions),
        }
