"""What a task decides: everything between a system's scores and what people are shown.

Long because one class must say what every task decides, and one place must use it.
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
    POSITION_EDGES,
    Names,
    bin_names,
    binned,
    dialogue_lengths,
    turn_positions,
)
from dialogue_ser.metrics.table import METRICS, Metric, TaskKind

if TYPE_CHECKING:
    from torch import Tensor

Targets = dict[str, npt.NDArray[Any]]

SLICE_RESAMPLES = 500


@dataclass(frozen=True)
class Task(ABC):
    """What is to be said of every turn, and all that follows from it.

    A task names the scores a system gives, makes the targets of a batch, turns scores into outputs, and says which
    losses, metrics, floors, estimators and parts of a report there are. Rooms above ask it and never ask of which kind
    it is. It knows tensors only as what it is handed, so that reports and tables need no torch.
    """

    kind: ClassVar[TaskKind]
    #: Whether its outputs are log-probabilities; else they are values.
    gives_probabilities: ClassVar[bool]
    #: What its outputs are called where they are written as features (``crossfit --content``).
    output_name: ClassVar[str]
    #: Losses it is trained with; the first is the default.
    losses: ClassVar[tuple[str, ...]]
    #: Chooses the checkpoint, and is the headline of tables and reports.
    default_metric: ClassVar[str]
    #: Metrics of narrow tables and of metrics.jsonl.
    headline: ClassVar[tuple[str, ...]]
    #: Estimators of cross-validations that can learn it.
    estimators: ClassVar[tuple[str, ...]]
    #: Chooses an estimator's regularisation on dev, and is the headline of cross-validations.
    fold_metric: ClassVar[str]
    #: Floors of an evaluation.
    floors: ClassVar[tuple[str, ...]]
    #: Parts of report.html, in reading order.
    sections: ClassVar[tuple[str, ...]]
    #: Parts of a cross-validation's report.html.
    crossval_sections: ClassVar[tuple[str, ...]]
    #: Further tiles beside a cross-validation's headline.
    crossval_tiles: ClassVar[tuple[str, ...]]
    #: What a reader of a cross-validation's scores must know, and of its scores per speaker; may be empty.
    score_remark: ClassVar[str]
    group_remark: ClassVar[str]
    #: Part of a fold → what it means where a class, or dimension, has no turn of this part.
    lacking_remarks: ClassVar[Mapping[str, str]]
    #: Key in scores.json under which the names stand.
    names_key: ClassVar[str]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What each score of a system is about: classes, or dimensions."""

    @property
    def n_scores(self) -> int:
        """Scores that a system gives per turn."""
        return len(self.names)

    @classmethod
    @abstractmethod
    def of_corpus(cls, corpus: Corpus, *, targets: Sequence[str] = (), leave_out: Sequence[str] = ()) -> Self:
        """The task on a corpus.

        Args:
            corpus: read.
            targets: dimensions to learn (``data.targets``); empty = all.
            leave_out: classes that micro F1 leaves out (``data.leave_out``).

        Raises:
            ConfigError: settings of the other kind of task, or names that the corpus does not have.
            CorpusError: the corpus is not annotated for it.
        """

    def fitted(self, train: Sequence[Dialogue]) -> Self:
        """The task with what it takes from the training dialogues; by default nothing."""
        return self

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What config.json of a model folder says of it."""

    # ---- corpora and batches

    @abstractmethod
    def is_labelled(self, turn: Utterance, *, soft: bool = False) -> bool:
        """Whether a turn says what is right.

        Args:
            turn: any.
            soft: annotators' votes without a label count too.
        """

    @abstractmethod
    def counts(self, turns: Iterable[Utterance]) -> dict[str, int]:
        """Turns per class, or turns annotated per dimension, in the names' order."""

    def absent(self, turns: Iterable[Utterance]) -> list[str]:
        """Classes, or dimensions, that none of some turns has."""
        return [name for name, n in self.counts(turns).items() if not n]

    @abstractmethod
    def absent_note(self, split: str, absent: Sequence[str], scores: Mapping[str, Any] | None = None) -> str:
        """One sentence on a split that lacks classes or dimensions: what it does to scores.

        Args:
            split: its name.
            absent: what it lacks, at least one and fewer than all.
            scores: what :meth:`scores` gives, once it is known.
        """

    @abstractmethod
    def absent_of_scores(self, scores: Mapping[str, Any]) -> list[str]:
        """Classes, or dimensions, that the turns behind some scores lack; see :meth:`scores`."""

    def absent_notes(self, splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """A sentence on every split that lacks some; name → what :meth:`summary` gives."""
        scores = {name: part["scores"] for name, part in splits.items()}
        found = {name: absent for name in scores if (absent := self.absent_of_scores(scores[name]))}
        return [self.absent_note(name, absent, scores[name]) for name, absent in found.items()]

    def fingerprint(self, corpus: Corpus) -> str:
        """SHA-256 over all of a corpus that the task reads: the data version that a run records."""
        return corpus.fingerprint()

    @abstractmethod
    def gold(self, turn: Utterance) -> dict[str, Any]:
        """Gold columns of a turn; None or NaN where it is not annotated."""

    @abstractmethod
    def batch_targets(self, dialogues: Sequence[Dialogue], shape: tuple[int, int]) -> Targets:
        """Fields of a :class:`~dialogue_ser.batch.dialogue_batch.DialogueBatch` that hold what is right.

        Args:
            dialogues: of the batch.
            shape: (B, T).
        """

    @property
    def chance(self) -> dict[str, float]:
        """What guessing gives in the headline of cross-validations, by the name it is shown under; may be empty."""
        return {}

    def unlabelled(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue as one to predict: gold may be of another label set, and prediction must not see it anyway."""
        return Dialogue(
            dialogue.id, tuple(replace(turn, label=None, votes=None, targets={}) for turn in dialogue.utterances)
        )

    # ---- scores and outputs

    @abstractmethod
    def outputs(self, scores: "Tensor") -> "Tensor":
        """Log-probabilities, or values, of a system's scores ``[…, S]``, in float32 at least."""

    def scores_of_values(self, value_NS: FloatArray) -> FloatArray:
        """The scores whose outputs are some values; only of a task that gives values."""
        raise NotImplementedError(self.kind)

    @abstractmethod
    def mean_scores(self, scores: "Tensor") -> "Tensor":
        """Scores ``[…, S]`` whose outputs are what several systems say together, of theirs ``[system, …, S]``."""

    @abstractmethod
    def numbers(self, outputs_NS: FloatArray) -> FloatArray:
        """What tables show of outputs: probabilities that sum to 1, or the values themselves."""

    # ---- tables of predictions

    @property
    @abstractmethod
    def number_columns(self) -> tuple[str, ...]:
        """Columns of the numbers, in the order of the names."""

    @abstractmethod
    def prediction_columns(self, numbers_NS: FloatArray) -> dict[str, Any]:
        """Every column of a prediction table that follows from the numbers."""

    def prediction_frame(
        self,
        dialogues: Sequence[Dialogue],
        numbers_NS: FloatArray,
        *,
        split: str | None = None,
        with_gold: bool = True,
    ) -> pd.DataFrame:
        """THE table of predictions: one row a turn, in order.

        Args:
            dialogues: whose turns the rows of ``numbers_NS`` are.
            numbers_NS: from :meth:`numbers`.
            split: column ``split``; None = no such column.
            with_gold: whether it has the gold columns.
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
        """A table of the same turns with other predictions."""
        kept = frame[[name for name in frame.columns if name in TURN_COLUMNS or name.startswith("gold")]]
        return kept.assign(**self.prediction_columns(numbers_NS))

    def row(self, numbers_S: FloatArray) -> dict[str, Any]:
        """The prediction columns of one turn as plain values."""
        found = self.prediction_columns(numbers_S[None])
        return {name: values[0] if isinstance(values, list) else float(values[0]) for name, values in found.items()}

    # ---- metrics and what is shown

    def metrics(self, extra: Iterable[str] = ()) -> dict[str, Metric]:
        """Key → metric, of all that are counted: the library's of this kind, then others that were asked for.

        Args:
            extra: further metrics by name or ``package.module:function`` (``metrics`` of a run).

        Raises:
            ConfigError: no such metric, one of the other kind, or a key that stands there twice.
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
        """Key → heading of the metrics that were asked for beside the library's."""
        return {key: metric.heading for key, metric in self.metrics(extra).items() if key not in METRICS}

    def scores(self, predictions: Predictions, extra: Iterable[str] = ()) -> dict[str, Any]:
        """Every metric of some turns, ``n`` (labelled turns) and what the kind of task adds.

        Raises:
            DialogueSerError: no labelled turn.
        """
        n = int(predictions.is_labelled_N.sum())
        if not n:
            raise DialogueSerError("no labelled turn to score: every gold label is missing; score a labelled split")
        values = {key: predictions.value(metric) for key, metric in self.metrics(extra).items()}
        return {"n": n, **values, **self.score_details(predictions)}

    @abstractmethod
    def score_details(self, predictions: Predictions) -> dict[str, Any]:
        """What scores hold beside the metrics, as plain JSON values: per class, or per dimension."""

    @abstractmethod
    def interval_details(self, statistics_N: FloatArray, n_resamples: int, level: float, seed: int) -> dict[str, Any]:
        """Intervals per class, or per dimension, of statistics of what is drawn, as plain JSON values."""

    @abstractmethod
    def further_summary(self, predictions: Predictions) -> dict[str, Any]:
        """What a summary holds beside scores, intervals, slices and counts; calibration, for example."""

    def slices(self, predictions: Predictions) -> Mapping[str, tuple[Names, Sequence[str]]]:
        """Kind of slice → (slice of every turn, slices in order): parts of the turns worth a score of their own."""
        dialogue_N = predictions.dialogue_N
        speakers = np.array(predictions.speakers, dtype=object)
        names, counts = np.unique(speakers.astype(str), return_counts=True)
        return {
            "turn_position": (binned(turn_positions(dialogue_N), POSITION_EDGES), bin_names(POSITION_EDGES)),
            "dialogue_length": (binned(dialogue_lengths(dialogue_N), LENGTH_EDGES), bin_names(LENGTH_EDGES)),
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
        """Everything that can be said of ONE split's predictions, as plain JSON values: the content of scores.json.

        Args:
            predictions: one split.
            extra: further metrics, as in :meth:`metrics`.
            n_resamples: bootstrap draws of dialogues.
            level: coverage of the intervals.
            seed: of the draws.

        Returns:
            ``scores`` (see :meth:`scores`), ``intervals`` (metric → estimate, low, high, level), the intervals per
            class or dimension, ``slices`` (kind → name → n, headline metrics, low and high of the default one),
            ``counts`` and what :meth:`further_summary` adds.

        Raises:
            DialogueSerError: several splits, or no labelled turn.
        """
        if len(predictions.splits) != 1:
            raise DialogueSerError(f"{predictions.origin}: summarise one split at a time, not {predictions.splits}")
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
                if kind != "speaker":  # speakers number in the hundreds: their intervals would cost more than they tell
                    default = METRICS[self.default_metric]
                    interval = intervals(rows, [default], SLICE_RESAMPLES, level, seed)[default.key]
                    value |= {"low": interval.low, "high": interval.high}
                found[kind][name] = value
        return found


def n_labelled(task: Task, dialogues: Iterable[Dialogue]) -> int:
    """Turns that say what is right."""
    return sum(task.is_labelled(turn) for turn in utterances(list(dialogues)))
