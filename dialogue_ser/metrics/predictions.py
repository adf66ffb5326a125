"""Tables of predictions of classes or values: one row per turn, as in ``predictions.parquet``.

Long because it contains both kinds of tables, what they have in common, and the checks of both.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dialogue_ser.errors import DialogueSerError, MissingDataError, unknown_name
from dialogue_ser.metrics.agreement import dialogue_moments
from dialogue_ser.metrics.confusion import UNLABELLED, FloatArray, IntArray, dialogue_confusions
from dialogue_ser.metrics.roc import RocCurve, macro_auc, roc_curves
from dialogue_ser.metrics.table import BUILT_IN, Metric, TaskKind, function_failed

#: Columns about the turn itself. The columns with gold and predictions come after them.
TURN_COLUMNS = ("split", "dialogue_id", "utterance_id", "turn", "speaker", "text")
GOLD, PREDICTED = "gold", "predicted"
PROBABILITY_PREFIX = "p_"
GOLD_PREFIX, PREDICTED_PREFIX = "gold_", "predicted_"


@dataclass(frozen=True, kw_only=True)
class Predictions(ABC):
    """A checked table of predictions. Make it with :func:`predictions_of` or :func:`read_predictions`.

    Args:
        frame: columns TURN_COLUMNS and the columns of the kind. Dialogues are in the order of their first row, turns in
            spoken order.
        names: classes in the order of the probability columns, or dimensions.
        origin: file of the table, for error messages.
    """

    kind: ClassVar[TaskKind]
    #: Cached arrays of whole numbers with one row for each turn. Sums of other numbers depend on their order in memory.
    _row_arrays: ClassVar[tuple[str, ...]] = ()

    frame: pd.DataFrame
    names: tuple[str, ...]
    origin: str = "predictions"

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of their first row."""
        return tuple(str(name) for name in self.frame["split"].unique())

    def split(self, name: str) -> Self:
        """Return the turns of one split.

        Raises:
            DialogueSerError: the split does not exist.
        """
        if name not in self.splits:
            raise DialogueSerError(f"{self.origin}: {unknown_name('split', name, self.splits)}")
        return self.rows((self.frame["split"] == name).to_numpy())

    def rows(self, chosen_N: npt.NDArray[Any]) -> Self:
        """Return some turns, chosen by a mask ``[N]`` or by positions. A position may occur several times."""
        frame = self.frame[chosen_N] if chosen_N.dtype == np.bool_ else self.frame.iloc[chosen_N]
        found = replace(self, frame=frame.reset_index(drop=True))
        # what is computed already is not computed again for each of many slices
        cached = vars(self)
        vars(found).update({name: cached[name][chosen_N] for name in self._row_arrays if name in cached})
        if "dialogue_N" in cached:
            vars(found)["dialogue_N"] = _renumbered(self.dialogue_N[chosen_N])
        return found

    @cached_property
    def dialogue_N(self) -> IntArray:
        """Dialogue number of every turn. Numbers begin at 0, in the order of the dialogues' first rows."""
        return self.frame.groupby(["split", "dialogue_id"], sort=False).ngroup().to_numpy().astype(np.int64)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Speaker of every turn."""
        return tuple(str(name) for name in self.frame["speaker"])

    @property
    def has_gold(self) -> bool:
        """Whether any turn is labelled."""
        return bool(self.is_labelled_N.any())

    @property
    @abstractmethod
    def is_labelled_N(self) -> npt.NDArray[np.bool_]:
        """Whether each turn has gold, in at least one dimension."""

    @property
    @abstractmethod
    def gold_columns(self) -> tuple[str, ...]:
        """Names of the columns with gold."""

    def statistics(self, group_N: IntArray | None = None) -> FloatArray:
        """Return one statistic per dialogue or group, read-only. Additive metrics are computed from them.

        A statistic is a confusion matrix, ``[dialogue, C, C]`` with row = gold; or moments, ``[dialogue, S, 7]``.

        Args:
            group_N: number of the group of every turn (0, 1, …); None = dialogues.
        """
        return self._dialogue_statistics if group_N is None else self._statistics(group_N)

    @cached_property
    def _dialogue_statistics(self) -> FloatArray:
        found = self._statistics(self.dialogue_N)
        found.flags.writeable = False
        return found

    @abstractmethod
    def _statistics(self, group_N: IntArray) -> FloatArray:
        """Return one statistic per group, given the group of every turn."""

    def for_functions_of_turns(self) -> Self:
        """Return a table that gives metrics of turns the same arguments, and whose rows are chosen faster."""
        return self

    @abstractmethod
    def metric_arguments(self, metric: Metric) -> tuple[Any, ...]:
        """Return the arguments for a metric that is not additive. They contain the labelled turns."""

    def value(self, metric: Metric) -> float | None:
        """Return a metric of all turns together; None if it is not defined.

        Raises:
            DialogueSerError: the metric is for the other kind of task, or the function of the metric fails.
        """
        self.check_metric(metric)
        if metric.is_additive:
            return float(metric.of_statistic(self.statistics().sum(0)))
        try:
            value = metric.function(*self.metric_arguments(metric))
            number = None if value is None else float(value)
        except DialogueSerError:
            raise
        except Exception as error:  # the function may be a user's program and may raise anything
            raise function_failed(metric.key, error) from error
        return number if number is not None and np.isfinite(number) else None

    def check_metric(self, metric: Metric) -> None:
        """Check that a metric is for this kind of task.

        Raises:
            DialogueSerError: the metric is for the other kind of task.
        """
        if metric.task not in (None, self.kind):
            raise DialogueSerError(
                f"{self.origin}: holds a {self.kind}, but {metric.key} is a metric of {metric.task}; choose another "
                "metric"
            )

    def aligned_to(self, other: "Predictions") -> Self:
        """Return the same rows in the order of another system's table, for paired comparisons.

        Raises:
            DialogueSerError: the tables have different turns, names or gold.
        """
        key = ["split", "dialogue_id", "utterance_id"]
        problems = []
        if self.kind != other.kind:
            problems.append(f"a {self.kind} against a {other.kind}")
        elif set(self.names) != set(other.names):
            problems.append(f"{', '.join(self.names)} against {', '.join(other.names)}")
        is_in_order = all(self.frame[name].equals(other.frame[name]) for name in key)
        if not is_in_order:
            mine, theirs = (pd.MultiIndex.from_frame(p.frame[key]) for p in (self, other))
            if len(mine) != len(theirs) or not mine.isin(theirs).all():
                extra, lacking = mine.difference(theirs), theirs.difference(mine)
                example = [str(row) for row in (*extra[:1], *lacking[:1])]
                problems.append(f"{len(extra)} turns only here, {len(lacking)} only there, e.g. {'; '.join(example)}")
        if problems:
            hint = "they cannot be compared turn by turn; run both on the same version and split of the corpus"
            raise DialogueSerError(*(f"{self.origin} and {other.origin}: {problem}; {hint}" for problem in problems))
        rows = self.rows(np.arange(len(self)) if is_in_order else mine.get_indexer(theirs))
        differs_N = _gold_differs(rows.frame, other.frame, other.gold_columns)
        if differs_N.any():
            raise DialogueSerError(
                f"{self.origin} and {other.origin}: {int(differs_N.sum())} turns have different gold labels, first "
                f"{rows.frame['utterance_id'][int(differs_N.argmax())]}; run both on the same version of the corpus"
            )
        return rows if self.names == other.names else replace(self, frame=rows.frame, names=other.names)


@dataclass(frozen=True, kw_only=True)
class ClassPredictions(Predictions):
    """A table of predicted classes, with the columns ``gold``, ``predicted`` and one ``p_<class>`` per class."""

    kind: ClassVar[TaskKind] = "classification"
    _row_arrays: ClassVar[tuple[str, ...]] = ("gold_N", "predicted_N")

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.names

    @property
    def gold_columns(self) -> tuple[str, ...]:
        """The column name ``gold``."""
        return (GOLD,)

    @property
    def is_labelled_N(self) -> npt.NDArray[np.bool_]:
        """Whether each turn has a gold class."""
        labelled_N: npt.NDArray[np.bool_] = self.frame[GOLD].notna().to_numpy()
        return labelled_N

    @cached_property
    def gold_N(self) -> IntArray:
        """Gold class index of every turn; −100 if the turn is not labelled."""
        return self._indices(GOLD)

    @cached_property
    def predicted_N(self) -> IntArray:
        """Predicted class index of every turn."""
        return self._indices(PREDICTED)

    def _indices(self, column: str) -> IntArray:
        code_N = pd.Categorical(self.frame[column], categories=list(self.names)).codes.astype(np.int64)
        return np.where(code_N < 0, UNLABELLED, code_N)

    @cached_property
    def probabilities_NC(self) -> FloatArray:
        """Class probabilities ``[N, C]``."""
        return self.frame[[PROBABILITY_PREFIX + label for label in self.names]].to_numpy(dtype=np.float64)

    def confusions(self) -> FloatArray:
        """Return the confusion matrix of every dialogue ``[dialogue, C, C]``, row = gold."""
        return self.statistics()

    def _statistics(self, group_N: IntArray) -> FloatArray:
        return dialogue_confusions(self.gold_N, self.predicted_N, group_N, len(self.names))

    @cached_property
    def curves(self) -> Mapping[str, RocCurve | None]:
        """ROC curve of every class against all others."""
        return roc_curves(self.probabilities_NC, self.gold_N, self.names)

    def value(self, metric: Metric) -> float | None:
        """Return a metric of all turns together. AUC is computed from :attr:`curves`, which scores per class need."""
        if metric is BUILT_IN.auc:
            return macro_auc(self.curves)
        return super().value(metric)

    def for_functions_of_turns(self) -> Self:
        """Return the columns with gold and predicted classes alone."""
        return replace(self, frame=self.frame[[GOLD, PREDICTED]].astype(object))

    def metric_arguments(self, metric: Metric) -> tuple[Any, ...]:
        """Return probabilities, gold indices and classes; or the names of gold and predicted classes."""
        is_labelled_N = self.is_labelled_N
        if metric.needs == "probabilities":
            return self.probabilities_NC[is_labelled_N], self.gold_N[is_labelled_N], self.names
        return tuple(self.frame[column][is_labelled_N].to_numpy(dtype=object) for column in (GOLD, PREDICTED))


@dataclass(frozen=True, kw_only=True)
class ValuePredictions(Predictions):
    """A table of predicted values, with the columns ``gold_<dimension>`` and ``predicted_<dimension>``."""

    kind: ClassVar[TaskKind] = "regression"

    @property
    def gold_columns(self) -> tuple[str, ...]:
        """The column name ``gold_<dimension>`` of every dimension."""
        return tuple(GOLD_PREFIX + name for name in self.names)

    @property
    def is_labelled_N(self) -> npt.NDArray[np.bool_]:
        """Whether each turn is annotated in at least one dimension."""
        return np.asarray(np.isfinite(self.gold_NS).any(1))

    @cached_property
    def gold_NS(self) -> FloatArray:
        """Gold values ``[N, S]``; NaN if a turn is not annotated."""
        return self.frame[list(self.gold_columns)].to_numpy(dtype=np.float64)

    @cached_property
    def predicted_NS(self) -> FloatArray:
        """Predicted values ``[N, S]``."""
        return self.frame[[PREDICTED_PREFIX + name for name in self.names]].to_numpy(dtype=np.float64)

    def _statistics(self, group_N: IntArray) -> FloatArray:
        return dialogue_moments(self.gold_NS, self.predicted_NS, group_N)

    def metric_arguments(self, metric: Metric) -> tuple[Any, ...]:
        """Return gold and predicted values of the turns that are annotated in every dimension."""
        is_complete_N = np.isfinite(self.gold_NS).all(1)
        return self.gold_NS[is_complete_N], self.predicted_NS[is_complete_N]


def predictions_of(frame: pd.DataFrame, origin: str = "predictions") -> Predictions:
    """Check and sort a table of predictions. Its columns decide whether it contains classes or values.

    Raises:
        DialogueSerError: columns or predictions are missing, labels are unknown, or utterances occur twice. The message
            names all of these problems.
    """
    columns = [str(column) for column in frame.columns]
    dimensions = tuple(c.removeprefix(PREDICTED_PREFIX) for c in columns if c.startswith(PREDICTED_PREFIX))
    is_values = bool(dimensions) and PREDICTED not in columns
    labels = tuple(c.removeprefix(PROBABILITY_PREFIX) for c in columns if c.startswith(PROBABILITY_PREFIX))
    gold_columns = tuple(GOLD_PREFIX + name for name in dimensions) if is_values else (GOLD, PREDICTED)
    problems = [
        f"{origin}: column {name!r} is missing; columns are {', '.join(columns)}"
        for name in (*TURN_COLUMNS, *gold_columns)
        if name not in columns
    ]
    if not is_values and not labels:
        problems.append(f"{origin}: there is no probability column p_<class>; write one per class")
    if problems:
        raise DialogueSerError(*problems)
    problems += _value_problems(frame, dimensions, origin) if is_values else _class_problems(frame, labels, origin)
    if not pd.api.types.is_numeric_dtype(frame["turn"]):
        problems.append(f"{origin}: column turn holds {frame['turn'].dtype}, expected whole numbers")
    repeated = frame.loc[frame.duplicated(["split", "utterance_id"]), "utterance_id"]
    problems += [f"{origin}: utterance {name!r} occurs twice; ids must be unique inside a split" for name in repeated]
    if problems:
        raise DialogueSerError(*problems)
    dialogue = frame.groupby(["split", "dialogue_id"], sort=False).ngroup()
    split = frame.groupby("split", sort=False).ngroup()
    order = np.lexsort((frame["turn"].to_numpy(), dialogue.to_numpy(), split.to_numpy()))
    ordered = frame.iloc[order].reset_index(drop=True)
    if is_values:
        return ValuePredictions(frame=ordered, names=dimensions, origin=origin)
    return ClassPredictions(frame=ordered, names=labels, origin=origin)


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.parquet``.

    Raises:
        MissingDataError: the file does not exist.
        DialogueSerError: the file is not a table of predictions.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: does not exist; give a finished run directory")
    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DialogueSerError(f"{path}: is not a readable parquet file ({error}); run the training again") from error
    return predictions_of(frame, origin=str(path))


def _class_problems(frame: pd.DataFrame, labels: Sequence[str], origin: str) -> list[str]:
    problems = []
    for column in (GOLD, PREDICTED):
        named = frame[column].dropna()
        bad = named[~named.isin(labels)].unique()
        problems += [f"{origin}: {column} {unknown_name('label', str(value), labels)}" for value in bad]
    if frame[PREDICTED].isna().any():
        problems.append(f"{origin}: {int(frame[PREDICTED].isna().sum())} turns have no prediction; predict every turn")
    return problems + _non_numeric_columns(frame, [PROBABILITY_PREFIX + label for label in labels], origin)


def _value_problems(frame: pd.DataFrame, dimensions: Sequence[str], origin: str) -> list[str]:
    predicted = [PREDICTED_PREFIX + name for name in dimensions]
    problems = _non_numeric_columns(frame, [*predicted, *(GOLD_PREFIX + name for name in dimensions)], origin)
    if problems:
        return problems
    n_missing = int((~np.isfinite(frame[predicted].to_numpy(dtype=np.float64))).any(1).sum())
    return [f"{origin}: {n_missing} turns have no prediction; predict every turn"] if n_missing else []


def _non_numeric_columns(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> list[str]:
    return [
        f"{origin}: column {name} holds {frame[name].dtype}, expected numbers"
        for name in columns
        if not pd.api.types.is_numeric_dtype(frame[name])
    ]


def _renumbered(number_N: IntArray) -> IntArray:
    """Return numbers that begin at 0 in the order of their first rows. Equal numbers stay equal.

    >>> _renumbered(np.array([7, 7, 2, 7, 5])).tolist()
    [0, 0, 1, 0, 2]
    """
    _, first, place_N = np.unique(number_N, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[place_N]


def _gold_differs(mine: pd.DataFrame, theirs: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return for every row whether a gold column differs. Two missing values are equal."""
    differs_N = np.zeros(len(mine), dtype=np.bool_)
    for column in columns:
        a, b = mine[column].to_numpy(dtype=object), theirs[column].to_numpy(dtype=object)
        differs_N |= (a != b) & ~(pd.isna(a) & pd.isna(b))
    return differs_N
