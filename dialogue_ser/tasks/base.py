"""The base class of tasks. A task decides everything between the scores of a system and what people see.

Long because one class declares all decisions of a task and also computes what is the same for every task.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.intervals import intervals
from dialogue_ser.metrics.predictions import TURN_COLUMNS, Predictions
from dialogue_ser.metrics.slices import (
    LENGTH_EDGES,
    NO_TEXT,
    POSITION_EDGES,
    WORD_EDGES,
    Names,
    bin_names,
    bin_of_each,
    dialogue_lengths,
    turn_positions,
    turn_words,
)
from dialogue_ser.metrics.table import METRICS, Metric, TaskKind

if TYPE_CHECKING:
    from torch import Tensor

Targets = dict[str, npt.NDArray[Any]]

SLICE_RESAMPLES = 500


@dataclass(frozen=True)
class Task(ABC):
    """Base class: what is predicted for every turn, and all decisions that depend on it.

    A task names the scores of a system, makes the targets of a batch, and turns scores into outputs. It also says which
    losses, metrics, floors, estimators and parts of a report there are. Rooms above use this class and need not know
    the kind of task. This module does not import torch, so that reports and tables do not need it.
    """

    kind: ClassVar[TaskKind]
    #: Whether the outputs are log-probabilities. If not, they are values.
    gives_probabilities: ClassVar[bool]
    #: Name of the outputs if they are written as features (``crossfit --content``).
    output_name: ClassVar[str]
    #: Losses for training. The first one is the default.
    losses: ClassVar[tuple[str, ...]]
    #: Metric that chooses the checkpoint and comes first in tables and reports.
    default_metric: ClassVar[str]
    #: Metrics of narrow tables and of metrics.jsonl.
    headline: ClassVar[tuple[str, ...]]
    #: Estimators that can learn the task in a cross-validation.
    estimators: ClassVar[tuple[str, ...]]
    #: Metric that chooses the regularisation of an estimator on dev and comes first in cross-validations.
    fold_metric: ClassVar[str]
    #: Floors of an evaluation.
    floors: ClassVar[tuple[str, ...]]
    #: Parts of report.html, in reading order.
    sections: ClassVar[tuple[str, ...]]
    #: Parts of the report.html of a cross-validation.
    crossval_sections: ClassVar[tuple[str, ...]]
    #: Further metrics that the report of a cross-validation shows next to the first one.
    crossval_tiles: ClassVar[tuple[str, ...]]
    #: Remarks that explain the scores of a cross-validation, and its scores per speaker. They may be empty.
    score_remark: ClassVar[str]
    group_remark: ClassVar[str]
    #: Part of a fold (train, dev, test) → remark that says what it means if a class or dimension has no turn there.
    lacking_remarks: ClassVar[Mapping[str, str]]
    #: Key of the names in scores.json.
    names_key: ClassVar[str]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The name of each score of a system: classes, or dimensions."""

    @property
    def n_scores(self) -> int:
        """Number of scores that a system gives per turn."""
        return len(self.names)

    @classmethod
    @abstractmethod
    def of_corpus(cls, corpus: Corpus, *, targets: Sequence[str] = (), leave_out: Sequence[str] = ()) -> Self:
        """Return the task for a corpus.

        Args:
            corpus: the corpus.
            targets: dimensions to learn (``data.targets``); empty = all.
            leave_out: classes that micro F1 leaves out (``data.leave_out``).

        Raises:
            ConfigError: a setting belongs to the other kind of task, or the corpus does not have a name.
            CorpusError: the corpus has no annotation for this task.
        """

    def fitted(self, train: Sequence[Dialogue]) -> Self:
        """Return the task with statistics of the training dialogues. By default a task needs none."""
        return self

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return the entry of config.json in a model folder that describes the task."""

    # ---- corpora and batches

    @abstractmethod
    def is_labelled(self, turn: Utterance, *, soft: bool = False) -> bool:
        """Return whether a turn has a gold label or value.

        Args:
            turn: the turn.
            soft: whether votes of annotators without a label count too.
        """

    @abstractmethod
    def counts(self, turns: Iterable[Utterance]) -> dict[str, int]:
        """Return class → number of its turns, or dimension → number of annotated turns, in the order of the names."""

    def absent(self, turns: Iterable[Utterance]) -> list[str]:
        """Return the classes or dimensions that occur in none of the turns."""
        return [name for name, n in self.counts(turns).items() if not n]

    def lacking_notes(self, folds: Sequence[Mapping[str, Mapping[str, int]]]) -> list[str]:
        """Return a sentence for each part that lacks classes or dimensions in some folds of a cross-validation.

        Args:
            folds: for each fold: part → result of :meth:`counts`.
        """
        lacking = {part: sum(0 in fold.get(part, {}).values() for fold in folds) for part in self.lacking_remarks}
        return [f"In {n} of {len(folds)} folds {self.lacking_remarks[part]}" for part, n in lacking.items() if n]

    @abstractmethod
    def absent_note(self, split: str, absent: Sequence[str], scores: Mapping[str, Any] | None = None) -> str:
        """Return a sentence on a split without turns of some classes or dimensions, and on the effect on the scores.

        Args:
            split: name of the split.
            absent: the classes or dimensions without a turn. It is at least one, and not all.
            scores: result of :meth:`scores`, if it is already computed.
        """

    @abstractmethod
    def absent_of_scores(self, scores: Mapping[str, Any]) -> list[str]:
        """Return the classes or dimensions without a turn, given the result of :meth:`scores`."""

    def absent_notes(self, splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return a sentence on every split without turns of some classes or dimensions.

        Args:
            splits: name of a split → result of :meth:`summary`.
        """
        scores = {name: part["scores"] for name, part in splits.items()}
        found = {name: absent for name in scores if (absent := self.absent_of_scores(scores[name]))}
        return [self.absent_note(name, absent, scores[name]) for name, absent in found.items()]

    def fingerprint(self, corpus: Corpus) -> str:
        """Return the SHA-256 of everything in a corpus that the task reads. Runs record it as the data version."""
        return corpus.fingerprint()

    @abstractmethod
    def gold(self, turn: Utterance) -> dict[str, Any]:
        """Return the gold columns of a turn. The value is None or NaN if the turn is not annotated."""

    @abstractmethod
    def batch_targets(self, dialogues: Sequence[Dialogue], shape: tuple[int, int]) -> Targets:
        """Return the fields of a :class:`~dialogue_ser.batch.dialogue_batch.DialogueBatch` that contain gold.

        Args:
            dialogues: dialogues of the batch.
            shape: (B, T), the number of dialogues and of turns of the batch.
        """

    @property
    def chance(self) -> dict[str, float]:
        """Heading → value of the fold metric for a random guess; may be empty. Reports of cross-validations show it."""
        return {}

    def unlabelled(self, dialogue: Dialogue) -> Dialogue:
        """Return the dialogue without gold. Prediction must not see gold, which may also be of another label set."""
        return Dialogue(
            dialogue.id, tuple(replace(turn, label=None, votes=None, targets={}) for turn in dialogue.utterances)
        )

    # ---- scores and outputs

    @abstractmethod
    def outputs(self, scores: "Tensor") -> "Tensor":
        """Return log-probabilities or values for the scores ``[…, S]`` of a system, at least in float32."""

    def scores_of_values(self, value_NS: FloatArray) -> FloatArray:
        """Return the scores whose outputs are the given values. Only tasks that give values have this method."""
        raise NotImplementedError(self.kind)

    @abstractmethod
    def mean_scores(self, scores: "Tensor") -> "Tensor":
        """Return scores ``[…, S]`` whose outputs are the mean over several systems, from ``[system, …, S]``."""

    @abstractmethod
    def numbers(self, outputs_NS: FloatArray) -> FloatArray:
        """Return the numbers that tables show for outputs: probabilities that sum to 1, or the values themselves."""

    # ---- tables of predictions

    @property
    @abstractmethod
    def number_columns(self) -> tuple[str, ...]:
        """Column names of the numbers, in the order of the names."""

    @abstractmethod
    def prediction_columns(self, numbers_NS: FloatArray) -> dict[str, Any]:
        """Return name → column, for every column of a prediction table that follows from the numbers."""

    def prediction_frame(
        self,
        dialogues: Sequence[Dialogue],
        numbers_NS: FloatArray,
        *,
        split: str | None = None,
        with_gold: bool = True,
    ) -> pd.DataFrame:
        """Return the table of predictions: one row per turn, in order.

        Args:
            dialogues: dialogues whose turns are the rows.
            numbers_NS: one row per turn, from :meth:`numbers`.
            split: value of the column ``split``; None = no such column.
            with_gold: whether the table has the gold columns.
        """
        turns = [(dialogue, number, turn) for dialogue in dialogues for number, turn in enumerate(dialogue)]
        columns: dict[str, Any] = {
            "dialogue_id": [dialogue.id for dialogue, _, _ in turns],
            "utterance_id": [turn.id for _, _, turn in turns],
            "turn": [number for _, number, _ in turns],
            "speaker": [turn.speaker for _, _, turn in turns],
            "text": [turn.text for _, _, turn in turns],
        }
        if split is not None:
            columns = {"split": split, **columns}
        if with_gold:
            gold = [self.gold(turn) for _, _, turn in turns]
            columns |= {name: [row[name] for row in gold] for name in (gold[0] if gold else ())}
        return pd.DataFrame(columns | self.prediction_columns(numbers_NS))

    def with_numbers(self, frame: pd.DataFrame, numbers_NS: FloatArray) -> pd.DataFrame:
        """Return a table of the same turns with other predictions."""
        kept = frame[[name for name in frame.columns if name in TURN_COLUMNS or name.startswith("gold")]]
        return kept.assign(**self.prediction_columns(numbers_NS))

    def row(self, numbers_S: FloatArray) -> dict[str, Any]:
        """Return the prediction columns of one turn as plain values."""
        found = self.prediction_columns(numbers_S[None])
        return {name: values[0] if isinstance(values, list) else float(values[0]) for name, values in found.items()}

    # ---- metrics and what is shown

    def metrics(self, extra: Iterable[str] = ()) -> dict[str, Metric]:
        """Return key → metric: the library's metrics for this kind of task, then the further ones.

        Args:
            extra: further metrics by name or ``package.module:function`` (setting ``metrics`` of a run).

        Raises:
            ConfigError: a metric does not exist or is for the other kind of task, or two metrics have the same key.
        """
        found = {key: metric for key in METRICS if (metric := METRICS[key]).task == self.kind}
        for name in extra:
            metric = METRICS.find(name)
            if metric.task not in (None, self.kind):
                raise ConfigError(
                    f"metric {name!r}: is one of {metric.task}, but the task is {self.kind}; leave it out"
                )
            if metric.key in found and found[metric.key] != metric:
                raise ConfigError(f"metric {name!r}: there is another one called {metric.key}; rename one of them")
            found[metric.key] = metric
        return found

    def own_headings(self, extra: Iterable[str]) -> dict[str, str]:
        """Return key → heading of the further metrics, which are not part of the library."""
        return {key: metric.heading for key, metric in self.metrics(extra).items() if key not in METRICS}

    def scores(self, predictions: Predictions, extra: Iterable[str] = ()) -> dict[str, Any]:
        """Return every metric of some turns, ``n`` (the number of labelled turns) and the details of this task.

        Raises:
            DialogueSerError: there is no labelled turn.
        """
        n = int(predictions.is_labelled_N.sum())
        if not n:
            raise DialogueSerError("no labelled turn to score: every gold label is missing; score a labelled split")
        values = {key: predictions.value(metric) for key, metric in self.metrics(extra).items()}
        return {"n": n, **values, **self.score_details(predictions)}

    @abstractmethod
    def item_scores(self, statistic: FloatArray) -> dict[str, dict[str, Any]]:
        """Return class or dimension → its scores and its number of turns, as plain JSON values.

        Args:
            statistic: the statistic of some turns, see
                :meth:`~dialogue_ser.metrics.predictions.Predictions.statistics`.
        """

    @abstractmethod
    def score_details(self, predictions: Predictions) -> dict[str, Any]:
        """Return the scores per class or per dimension, as plain JSON values. They stand next to the metrics."""

    @abstractmethod
    def interval_details(self, statistics_N: FloatArray, n_resamples: int, level: float, seed: int) -> dict[str, Any]:
        """Return intervals per class or per dimension, as plain JSON values.

        Args:
            statistics_N: one statistic per dialogue or group that is drawn, see
                :meth:`~dialogue_ser.metrics.predictions.Predictions.statistics`.
            n_resamples: number of draws.
            level: coverage of the intervals.
            seed: random seed of the draws.
        """

    @abstractmethod
    def further_summary(self, predictions: Predictions) -> dict[str, Any]:
        """Return what this task adds to a summary, e.g. the calibration."""

    def slices(self, predictions: Predictions) -> Mapping[str, tuple[Names, Sequence[str]]]:
        """Return kind of slice → (name of every turn's slice, all names in order). Each slice gets its own scores."""
        dialogue_N = predictions.dialogue_N
        speakers = np.array(predictions.speakers, dtype=object)
        names, counts = np.unique(speakers.astype(str), return_counts=True)
        words = turn_words(predictions.frame["text"].tolist())
        has_text = bool((words != NO_TEXT).any())
        return {
            "turn_position": (bin_of_each(turn_positions(dialogue_N), POSITION_EDGES), bin_names(POSITION_EDGES)),
            "dialogue_length": (bin_of_each(dialogue_lengths(dialogue_N), LENGTH_EDGES), bin_names(LENGTH_EDGES)),
            **({"turn_words": (words, (*bin_names(WORD_EDGES), NO_TEXT))} if has_text else {}),
            "speaker": (speakers, [str(names[i]) for i in np.lexsort((names, -counts))]),
        }

    def summary(
        self,
        predictions: Predictions,
        extra: Iterable[str] = (),
        n_resamples: int = 2000,
        level: float = 0.95,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return everything that scores.json says about one split, as plain JSON values.

        Args:
            predictions: predictions of one split.
            extra: further metrics, see :meth:`metrics`.
            n_resamples: bootstrap draws of dialogues.
            level: coverage of the intervals.
            seed: random seed of the draws.

        Returns:
            ``scores`` (see :meth:`scores`), ``intervals`` (metric → estimate, low, high, level), the intervals per
            class or dimension, ``slices`` (kind → name → n, headline metrics, low and high of the default metric),
            ``counts`` and the result of :meth:`further_summary`.

        Raises:
            DialogueSerError: the predictions contain several splits or no labelled turn.
        """
        if len(predictions.splits) != 1:
            raise DialogueSerError(
                f"{predictions.origin}: found the splits {predictions.splits}; summarise one split at a time"
            )
        scores = self.scores(predictions, extra)
        found = intervals(predictions, self.metrics(extra).values(), n_resamples, level, seed)
        statistics_N = predictions.statistics()
        return {
            "scores": scores,
            "intervals": {key: interval.to_dict() for key, interval in found.items()},
            **self.interval_details(statistics_N, n_resamples, level, seed),
            "slices": self._slice_scores(predictions, level, seed),
            **self.further_summary(predictions),
            "counts": {
                "turns": len(predictions),
                "labelled": scores["n"],
                "dialogues": int(statistics_N.shape[0]),
                "speakers": len(set(predictions.speakers)),
            },
        }

    def _slice_scores(self, predictions: Predictions, level: float, seed: int) -> dict[str, dict[str, Any]]:
        headline = [METRICS[key] for key in self.headline]
        found: dict[str, dict[str, Any]] = {}
        for kind, (members, order) in self.slices(predictions).items():
            found[kind] = {}
            for name in order:
                rows = predictions.rows(members == name)
                if not rows.has_gold:
                    continue
                value = {"n": int(rows.is_labelled_N.sum()), **{metric.key: rows.value(metric) for metric in headline}}
                if kind != "speaker":  # there may be hundreds of speakers, and intervals take long to compute
                    default = METRICS[self.default_metric]
                    interval = intervals(rows, [default], SLICE_RESAMPLES, level, seed)[default.key]
                    value |= {"low": interval.low, "high": interval.high}
                found[kind][name] = value
        return found


def n_labelled(task: Task, dialogues: Iterable[Dialogue]) -> int:
    """Return the number of turns with a gold label or value."""
    return sum(task.is_labelled(turn) for turn in utterances(list(dialogues)))
