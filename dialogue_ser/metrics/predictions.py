"""The predictions of a run: one row a turn, as ``predictions.parquet`` holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dialogue_ser.errors import DialogueSerError, MissingDataError, unknown_name
from dialogue_ser.metrics.bootstrap import dialogue_confusions
from dialogue_ser.metrics.scores import FloatArray, IntArray, encode

COLUMNS = ("split", "dialogue_id", "utterance_id", "turn", "speaker", "text", "gold", "predicted")
PROBABILITY_PREFIX = "p_"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A checked table of predictions; make it with :func:`predictions_of` or :func:`read_predictions`.

    Args:
        frame: columns COLUMNS and ``p_<class>``; dialogues in order of first appearance, turns in spoken order.
        labels: classes, in the order of the probability columns.
        origin: the file it was read from, for error messages.
    """

    frame: pd.DataFrame
    labels: tuple[str, ...]
    origin: str = "predictions"

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits, in order of first appearance."""
        return tuple(str(name) for name in self.frame["split"].unique())

    def split(self, name: str) -> "Predictions":
        """The turns of one split.

        Raises:
            DialogueSerError: no such split.
        """
        if name not in self.splits:
            raise DialogueSerError(f"{self.origin}: {unknown_name('split', name, self.splits)}")
        rows = self.frame[self.frame["split"] == name].reset_index(drop=True)
        return Predictions(frame=rows, labels=self.labels, origin=self.origin)

    @cached_property
    def gold_N(self) -> IntArray:
        """Gold class indices, −100 where unlabelled."""
        return encode(self.frame["gold"].astype(object), self.labels)

    @cached_property
    def predicted_N(self) -> IntArray:
        """Predicted class indices."""
        return encode(self.frame["predicted"].astype(object), self.labels)

    @cached_property
    def probabilities_NC(self) -> FloatArray:
        """Class probabilities."""
        return self.frame[[PROBABILITY_PREFIX + label for label in self.labels]].to_numpy(dtype=np.float64)

    @cached_property
    def dialogue_N(self) -> IntArray:
        """Dialogue number of every turn, from 0 in order of first appearance."""
        return self.frame.groupby(["split", "dialogue_id"], sort=False).ngroup().to_numpy().astype(np.int64)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Speaker of every turn."""
        return tuple(str(name) for name in self.frame["speaker"])

    @property
    def has_gold(self) -> bool:
        """Whether any turn is labelled."""
        return bool(self.frame["gold"].notna().any())

    def confusions(self) -> FloatArray:
        """Confusion matrix of every dialogue ``[dialogue, C, C]``, row = gold."""
        return dialogue_confusions(self.gold_N, self.predicted_N, self.dialogue_N, len(self.labels))

    def aligned_to(self, other: "Predictions") -> "Predictions":
        """The same rows in the order of another system's, for paired comparisons.

        Raises:
            DialogueSerError: other turns, other labels or other gold.
        """
        key = ["split", "dialogue_id", "utterance_id"]
        mine, theirs = (pd.MultiIndex.from_frame(p.frame[key]) for p in (self, other))
        problems = []
        if set(self.labels) != set(other.labels):
            problems.append(f"labels {', '.join(self.labels)} against {', '.join(other.labels)}")
        if len(mine) != len(theirs) or not mine.isin(theirs).all():
            extra, lacking = mine.difference(theirs), theirs.difference(mine)
            example = [str(row) for row in (*extra[:1], *lacking[:1])]
            problems.append(f"{len(extra)} turns only here, {len(lacking)} only there, e.g. {'; '.join(example)}")
        if problems:
            text = "cannot be compared turn by turn; run both on one corpus version and split"
            raise DialogueSerError(*(f"{self.origin} and {other.origin}: {problem}; {text}" for problem in problems))
        rows = self.frame.iloc[mine.get_indexer(theirs)].reset_index(drop=True)
        gold_differs = rows["gold"].fillna("").to_numpy() != other.frame["gold"].fillna("").to_numpy()
        if gold_differs.any():
            raise DialogueSerError(
                f"{self.origin} and {other.origin}: {int(gold_differs.sum())} turns have different gold labels, first "
                f"{rows['utterance_id'][int(gold_differs.argmax())]}; run both on one corpus version"
            )
        return Predictions(frame=rows, labels=other.labels, origin=self.origin)


def predictions_of(frame: pd.DataFrame, origin: str = "predictions") -> Predictions:
    """Check and order a frame of predictions.

    Raises:
        DialogueSerError: missing columns, unknown labels, duplicate utterances, missing predictions: all of them.
    """
    labels = tuple(str(c)[len(PROBABILITY_PREFIX) :] for c in frame.columns if str(c).startswith(PROBABILITY_PREFIX))
    problems = [f"{origin}: column {name!r} is missing; columns are {', '.join(map(str, frame.columns))}"
                for name in COLUMNS if name not in frame.columns]  # fmt: skip
    if not labels:
        problems.append(f"{origin}: no probability column p_<class>; write one per class")
    if problems:
        raise DialogueSerError(*problems)
    for column in ("gold", "predicted"):
        named = frame[column].dropna()
        bad = named[~named.isin(labels)].unique()
        problems += [f"{origin}: {column} {unknown_name('label', str(value), labels)}" for value in bad]
    if frame["predicted"].isna().any():
        problems.append(
            f"{origin}: {int(frame['predicted'].isna().sum())} turns have no prediction; predict every turn"
        )
    problems += [
        f"{origin}: column p_{label} holds {frame[PROBABILITY_PREFIX + label].dtype}, expected numbers"
        for label in labels
        if not pd.api.types.is_numeric_dtype(frame[PROBABILITY_PREFIX + label])
    ]
    if not pd.api.types.is_numeric_dtype(frame["turn"]):
        problems.append(f"{origin}: column turn holds {frame['turn'].dtype}, expected whole numbers")
    twice = frame.loc[frame.duplicated(["split", "utterance_id"]), "utterance_id"]
    problems += [f"{origin}: utterance {name!r} occurs twice; ids are unique inside a split" for name in twice]
    if problems:
        raise DialogueSerError(*problems)
    dialogue = frame.groupby(["split", "dialogue_id"], sort=False).ngroup()
    split = frame.groupby("split", sort=False).ngroup()
    order = np.lexsort((frame["turn"].to_numpy(), dialogue.to_numpy(), split.to_numpy()))
    return Predictions(frame=frame.iloc[order].reset_index(drop=True), labels=labels, origin=origin)


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.parquet``.

    Raises:
        MissingDataError: no such file.
        DialogueSerError: a file that is no table of predictions.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: does not exist; is {path.parent} a finished run directory?")
    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DialogueSerError(f"{path}: no readable parquet file ({error}); run the training again") from error
    return predictions_of(frame, origin=str(path))


def prediction_rows(
    rows: Sequence[Mapping[str, Any]], labels: Sequence[str], probabilities_NC: FloatArray
) -> pd.DataFrame:
    """A frame like ``predictions.parquet``: the rows' columns, the most probable class and every probability.

    Args:
        rows: per turn split, dialogue_id, utterance_id, turn, speaker, text, gold.
        labels: classes.
        probabilities_NC: ``[N, C]``.
    """
    frame = pd.DataFrame(list(rows), columns=[name for name in COLUMNS if name != "predicted"])
    frame["predicted"] = np.asarray(labels, dtype=object)[probabilities_NC.argmax(-1)]
    for i, label in enumerate(labels):
        frame[PROBABILITY_PREFIX + label] = probabilities_NC[:, i]
    return frame
