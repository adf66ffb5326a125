"""Transforms of frozen features that remove the level and the spread of each speaker's own values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.base import Transform, mean_and_deviation
from dialogue_ser.features.transforms.row_matrix import Rows

# With fewer turns the speaker's level cannot be separated from what is said.
_FEWEST_TURNS = 3


class _BySpeaker(Transform):
    """Base class. ``_of_speaker`` scales speakers with enough turns; the statistics of train scale the others."""

    is_causal = False
    is_rowwise = False
    axes: ClassVar[Mapping[str, str]] = {"mean": "D", "deviation": "D"}

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        self.arrays["mean"], self.arrays["deviation"] = mean_and_deviation(x_ND)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        deviation = self.arrays["deviation"]
        fallback_D = np.where(deviation > 0, deviation, 1.0)
        scaled = (x_ND - self.arrays["mean"]) / fallback_D
        # A feature that is constant in train has no scale. A new value of it must not reach the model unscaled.
        new_ND: Array = np.where(np.isnan(x_ND) | (deviation > 0), scaled, 0.0)
        for indices in self._group_indices(rows, dialogues):
            new_ND[indices] = self._of_speaker(x_ND[indices], fallback_D)
        return new_ND

    def _group_indices(self, rows: Rows, dialogues: Sequence[Dialogue]) -> Iterator[Array]:
        """Yield the line numbers in the matrix for each group of turns that is large enough."""
        lines_of, ends = {}, np.cumsum([len(np.atleast_2d(row)) for row in rows.values()])
        for key, end, row in zip(rows, ends, rows.values(), strict=True):
            lines_of[key] = np.arange(end - len(np.atleast_2d(row)), end)
        for turns in self._groups(dialogues):
            present = [turn for turn in turns if turn in lines_of]
            if len(present) >= _FEWEST_TURNS:
                yield np.concatenate([lines_of[turn] for turn in present])

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        """Return the groups of turns that are normalised together, as lists of utterance ids."""
        raise NotImplementedError

    def _of_speaker(self, x_ND: Array, fallback_D: Array) -> Array:
        """Return the normalised vectors and frames of one group; ``fallback_D`` is the deviation of train, never 0."""
        raise NotImplementedError


class SpeakerZScore(_BySpeaker):
    """Scales every feature to mean 0 and deviation 1 over all turns of one speaker in one dialogue.

    It is not causal: it needs the whole dialogue, so a model with it cannot stream. A speaker with fewer than three
    turns is scaled by the statistics of train. A feature that is constant for a speaker is divided by the deviation of
    train.
    """

    name = "speaker-zscore"

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        return [
            [turn.id for turn in dialogue if turn.speaker == speaker]
            for dialogue in dialogues
            for speaker in dialogue.speakers
        ]

    def _of_speaker(self, x_ND: Array, fallback_D: Array) -> Array:
        mean, deviation = mean_and_deviation(x_ND)
        z_ND: Array = (x_ND - mean) / np.where(deviation > 0, deviation, fallback_D)
        return z_ND


class CorpusSpeakerZScore(SpeakerZScore):
    """Scales every feature to mean 0 and deviation 1 over all turns of one speaker in all given dialogues.

    Use it for corpora of single utterances. It takes the level and the spread of a new speaker from the recordings that
    are to be labelled, so it needs several recordings of each speaker, with all emotions. Scores with this transform
    do not hold for a system that gets a single utterance.
    """

    name = "corpus-speaker-zscore"
    is_transductive = True

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        members: dict[str, list[str]] = {}
        for turn in utterances(dialogues):
            members.setdefault(turn.speaker, []).append(turn.id)
        return list(members.values())


class CorpusSpeakerGaussian(CorpusSpeakerZScore):
    """Maps the ranks of a feature among all turns of one speaker through the inverse normal distribution.

    It is like ``corpus-speaker-zscore``, but only the order of the values counts. So outliers, which are frequent in
    functionals, do not change a speaker's scale. The k-th of n values becomes Φ⁻¹((k − ½) / n). Equal values share the
    mean of their ranks, so a feature that is constant for a speaker becomes 0. Missing values stay missing. A speaker
    with fewer than three turns is scaled by the statistics of train.
    """

    name = "corpus-speaker-gaussian"

    def _of_speaker(self, x_ND: Array, fallback_D: Array) -> Array:
        from scipy.special import ndtri  # imported here because scipy loads slowly and other transforms do not need it
        from scipy.stats import rankdata

        n_D = np.maximum((~np.isnan(x_ND)).sum(axis=0), 1)
        rank_ND = rankdata(x_ND, axis=0, nan_policy="omit")
        normal_ND: Array = ndtri((rank_ND - 0.5) / n_D)
        return normal_ND
