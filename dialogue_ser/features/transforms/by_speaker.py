"""Transforms of frozen features that take away what is the speaker's: level and spread over what they have said."""

from collections.abc import Iterator, Sequence

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.base import Transform, mean_and_deviation
from dialogue_ser.features.transforms.row_matrix import Rows

# Of fewer a speaker's level cannot be told from what is being said.
_FEWEST_TURNS = 3


class _BySpeaker(Transform):
    """Per feature, train's mean 0 and deviation 1; then, where a speaker has enough turns, something of their own."""

    is_causal = False
    is_rowwise = False

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        self.arrays["mean"], self.arrays["deviation"] = mean_and_deviation(x_ND)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        fallback_D = np.where(self.arrays["deviation"] > 0, self.arrays["deviation"], 1.0)
        new_ND: Array = (x_ND - self.arrays["mean"]) / fallback_D
        for own in self._places(rows, dialogues):
            new_ND[own] = self._of_speaker(x_ND[own], fallback_D)
        return new_ND

    def _places(self, rows: Rows, dialogues: Sequence[Dialogue]) -> Iterator[Array]:
        """Row numbers of each group of turns that is large enough."""
        position, ends = {}, np.cumsum([len(np.atleast_2d(row)) for row in rows.values()])
        for key, end, row in zip(rows, ends, rows.values(), strict=True):
            position[key] = np.arange(end - len(np.atleast_2d(row)), end)
        for turns in self._groups(dialogues):
            present = [turn for turn in turns if turn in position]
            if len(present) >= _FEWEST_TURNS:
                yield np.concatenate([position[turn] for turn in present])

    def _groups(self, dialogues: Sequence[Dialogue]) -> list[list[str]]:
        """Ids of turns that are normalised together."""
        raise NotImplementedError

    def _of_speaker(self, x_ND: Array, fallback_D: Array) -> Array:
        """One group's rows, normalised; ``fallback_D`` is train's deviation, never 0."""
        raise NotImplementedError


class SpeakerZScore(_BySpeaker):
    """Per feature, mean 0 and deviation 1 over all turns of one speaker in one dialogue.

    Not causal: it needs the whole dialogue, so a model with it cannot stream. A speaker with fewer than three turns
    is scaled by the train statistics instead, and a feature that is constant for a speaker by train's deviation.
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


class CorpusSpeakerGaussian(CorpusSpeakerZScore):
    """Per feature, ranks among all turns of one speaker mapped through the inverse normal distribution.

    As ``corpus-speaker-zscore``, but only the order counts: outliers, of which functionals have many, cannot spread a
    speaker's scale. The k-th of n values becomes Φ⁻¹((k − ½) / n); equal ones share the mean of their ranks, so that a
    feature that is constant for a speaker becomes 0. Missing values stay missing. A speaker with fewer than three turns
    is scaled by the train statistics.
    """

    name = "corpus-speaker-gaussian"

    def _of_speaker(self, x_ND: Array, fallback_D: Array) -> Array:
        from scipy.special import ndtri  # here: scipy takes half a second, and other transforms do without it
        from scipy.stats import rankdata

        n_D = np.maximum((~np.isnan(x_ND)).sum(axis=0), 1)
        rank_ND = rankdata(x_ND, axis=0, nan_policy="omit")
        normal_ND: Array = ndtri((rank_ND - 0.5) / n_D)
        return normal_ND
