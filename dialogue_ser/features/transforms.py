"""Transforms of frozen features: fitted on train, saved with the model, the same for vectors and frames."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError, unknown_name
from dialogue_ser.features.api import Array
from dialogue_ser.features.stacked import Rows, pieces, stack, thinned, unstack

# A column whose spread is below this share of its size is constant but for rounding.
_CONSTANT = 1e-6
_N_QUANTILES = 1000


class Transform:
    """Base: ``fit`` on the training rows, then ``apply`` to any; arrays ``(D,)`` or ``(L, D)``.

    Attributes:
        name: registry name.
        is_causal: False if a turn's output depends on later turns of its dialogue.
        is_rowwise: True if each vector or frame is transformed by itself.
        is_transductive: True if it learns from unlabelled recordings of the dialogues it is applied to, so that scores
            with it must be reported apart.
        arrays: float64 state by name, set by ``fit``; becomes safetensors.
    """

    name: ClassVar[str]
    is_causal: ClassVar[bool] = True
    is_rowwise: ClassVar[bool] = True
    is_transductive: ClassVar[bool] = False

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def fit(self, rows: Rows, dialogues: Sequence[Dialogue]) -> "Transform":
        """Take what is needed from the training rows; every frame counts alike, and padding is none of them.

        Where they hold more than 67 million values (384 features: 175,000 frames), every second, third, … is taken.

        Raises:
            FeatureError: there are no rows.
        """
        if not rows:
            raise FeatureError(f"transform {self.name}: the training split has no rows to fit on")
        self._fit(thinned(rows), rows, dialogues)
        return self

    def apply(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        """New float32 rows; ``dialogues`` are those the rows belong to.

        Raises:
            FeatureError: the rows have another number of features than the training rows.
        """
        if not rows:
            return {}
        new: dict[str, Array] = {}
        for piece in pieces(rows) if self.is_rowwise else (rows,):
            new.update(self._apply_piece(piece, dialogues))
        return new

    def _apply_piece(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        x_ND = stack(rows)
        expected = self.arrays.get("dim")
        if expected is not None and x_ND.shape[1] != int(expected):
            raise FeatureError(
                f"transform {self.name}: was fitted on {int(expected)} features and is given {x_ND.shape[1]}"
            )
        return unstack(self._apply(x_ND, rows, dialogues), rows)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON-able part and arrays."""
        return {"name": self.name}, dict(self.arrays)

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        self.arrays["dim"] = np.array(x_ND.shape[1], dtype=np.int64)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        raise NotImplementedError


class Impute(Transform):
    """Missing values become the train median; a 0/1 column per feature that was ever missing in train is appended.

    A feature that was never missing in train gets no flag; one that was always missing becomes 0.
    """

    name = "impute"

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        is_missing = np.isnan(x_ND)
        never_seen = is_missing.all(axis=0)
        self.arrays["median"] = np.nanmedian(np.where(never_seen, 0.0, x_ND), axis=0)
        self.arrays["flagged"] = np.flatnonzero(is_missing.any(axis=0)).astype(np.int64)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        is_missing = np.isnan(x_ND)
        filled = np.where(is_missing, self.arrays["median"], x_ND)
        return np.concatenate([filled, is_missing[:, self.arrays["flagged"]]], axis=1)


class Standardise(Transform):
    """Train mean 0 and deviation 1 per feature; a constant feature becomes 0. Missing values stay missing."""

    name = "standardise"

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        self.arrays["mean"], self.arrays["deviation"] = _mean_and_deviation(x_ND)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        deviation = self.arrays["deviation"]
        scaled: Array = (x_ND - self.arrays["mean"]) / np.where(deviation > 0, deviation, 1.0)
        # A constant feature says nothing; a new value of it must not reach the model unscaled.
        return np.where(np.isnan(x_ND), np.nan, np.where(deviation > 0, scaled, 0.0))


class Rank(Transform):
    """Share of the training values below, in [−1, 1]: robust to heavy tails. Ties take their middle."""

    name = "rank"

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        n = min(_N_QUANTILES, len(x_ND))
        columns = [column[~np.isnan(column)] for column in x_ND.T]
        levels = np.linspace(0.0, 1.0, max(n, 2))
        self.arrays["quantiles"] = np.stack(
            [np.quantile(column, levels) if len(column) else np.zeros(len(levels)) for column in columns], axis=1
        )

    def _share_below(self, x_ND: Array) -> Array:
        quantiles_QD = self.arrays["quantiles"]
        levels = np.linspace(0.0, 1.0, len(quantiles_QD))
        share = np.empty_like(x_ND)
        for d in range(x_ND.shape[1]):
            # np.interp takes the upper end of a run of equal quantiles; from the other side it takes the lower.
            above = np.interp(x_ND[:, d], quantiles_QD[:, d], levels)
            below = 1.0 - np.interp(-x_ND[:, d], -quantiles_QD[::-1, d], levels)
            share[:, d] = (above + below) / 2
        return np.where(np.isnan(x_ND), np.nan, share)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        return 2.0 * self._share_below(x_ND) - 1.0


class QuantileGaussian(Rank):
    """Rank mapped through the inverse normal distribution: every feature about standard normal on train."""

    name = "quantile-gaussian"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        tail = 0.5 / max(len(self.arrays["quantiles"]), 2)
        values: Array = ndtri(np.clip(self._share_below(x_ND), tail, 1.0 - tail))
        return values


class L2(Transform):
    """Every vector (frame) to length 1; a zero vector stays."""

    name = "l2"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        length = np.linalg.norm(x_ND, axis=1, keepdims=True)
        return np.asarray(x_ND / np.where(length > 0, length, 1.0))


class Log(Transform):
    """sign(x)·log(1 + |x|): tames the heavy tails of energies and spectral moments."""

    name = "log"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        return np.asarray(np.sign(x_ND) * np.log1p(np.abs(x_ND)))


class SpeakerZScore(Transform):
    """Per feature, mean 0 and deviation 1 over all turns of one speaker in one dialogue.

    Not causal: it needs the whole dialogue, so a model with it cannot stream. A speaker with fewer than three turns
    is scaled by the train statistics instead, and a feature that is constant for a speaker by train's deviation.
    """

    name = "speaker-zscore"
    is_causal = False
    is_rowwise = False
    _FEWEST_TURNS = 3

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        self.arrays["mean"], self.arrays["deviation"] = _mean_and_deviation(x_ND)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        position, ends = {}, np.cumsum([len(np.atleast_2d(row)) for row in rows.values()])
        for key, end, row in zip(rows, ends, rows.values(), strict=True):
            position[key] = np.arange(end - len(np.atleast_2d(row)), end)
        fallback = np.where(self.arrays["deviation"] > 0, self.arrays["deviation"], 1.0)
        z_ND = (x_ND - self.arrays["mean"]) / fallback
        for turns in self._groups(dialogues):
            present = [turn for turn in turns if turn in position]
            if len(present) < self._FEWEST_TURNS:
                continue
            own = np.concatenate([position[turn] for turn in present])
            mean, deviation = _mean_and_deviation(x_ND[own])
            z_ND[own] = (x_ND[own] - mean) / np.where(deviation > 0, deviation, fallback)
        return z_ND

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        """Ids of turns that are normalised together."""
        return [
            [turn.id for turn in dialogue if turn.speaker == speaker]
            for dialogue in dialogues
            for speaker in dialogue.speakers
        ]


class CorpusSpeakerZScore(SpeakerZScore):
    """Per feature, mean 0 and deviation 1 over all turns of one speaker in all dialogues given together.

    For single utterances: it takes a new speaker's level and spread from the recordings that are to be labelled, so it
    wants several of each speaker, of all emotions. Scores with it are not those of a system that meets one utterance.
    """

    name = "corpus-speaker-zscore"
    is_transductive = True

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        members: dict[str, list[str]] = {}
        for turn in utterances(dialogues):
            members.setdefault(turn.speaker, []).append(turn.id)
        return list(members.values())


TRANSFORMS: dict[str, type[Transform]] = {
    kind.name: kind
    for kind in (Impute, Standardise, Rank, QuantileGaussian, L2, Log, SpeakerZScore, CorpusSpeakerZScore)
}


def build_transform(name: str) -> Transform:
    """A transform by name, not fitted yet.

    Raises:
        ConfigError: no such transform; suggests the nearest.

    >>> build_transform("standardise").name
    'standardise'
    """
    if name not in TRANSFORMS:
        raise ConfigError(unknown_name("transform", name, TRANSFORMS))
    return TRANSFORMS[name]()


def from_state(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> Transform:
    """A fitted transform from what its ``state()`` gave.

    Raises:
        CheckpointError: the state names no known transform.
    """
    name = state.get("name")
    if name not in TRANSFORMS:
        raise CheckpointError(unknown_name("saved transform", str(name), TRANSFORMS))
    transform = TRANSFORMS[name]()
    transform.arrays = dict(arrays)
    return transform


def _mean_and_deviation(x_ND: Array) -> tuple[Array, Array]:
    """NaN-blind mean and deviation per column; 0 deviation where constant but for rounding, 0 mean where never seen."""
    seen = ~np.isnan(x_ND)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x_ND, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(seen, x_ND - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(deviation > _CONSTANT * np.abs(mean), deviation, 0.0)
