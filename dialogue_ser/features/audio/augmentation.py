"""Augmentation: variants of the training utterances, which are changed copies. The setting ``copies`` is their number.

The variants are drawn once, and their features are stored. In each epoch every utterance is replaced by one of its
variants or by itself, at random.

A variant is an utterance with another id and with the same speaker, label and text. Its audio reference has
:class:`~dialogue_ser.media.effects.Effects`, which ``decode_turn`` applies. The feature store has a separate key for
each variant, so the frozen features of N variants are computed once.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import Array
from dialogue_ser.media.effects import Effects

# Outside these limits the result no longer sounds like a person.
_LIMITS = {"noise_snr_db": (-20.0, 120.0), "pitch_semitones": (-12.0, 12.0), "stretch": (0.5, 2.0)}
_MAX_SHIFT_SECONDS = 10.0
_MAX_COPIES = 64


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse calls vars() on a nested default
class Augmentation:
    """The settings of the variants. Each effect has a range [lowest, highest]; an empty range switches it off.

    Args:
        copies: number of variants of each training utterance, in addition to the original. 0 means no augmentation.
            More variants take more time to encode.
        noise_snr_db: range [lowest, highest] of the signal-to-noise ratio of added white noise, in dB. A lower value
            is louder noise. Empty = add no noise.
        pitch_semitones: range [lowest, highest] of the change of pitch, in semitones. Positive values are higher.
            Empty = keep the pitch.
        stretch: range [lowest, highest] of the factor on the tempo. Values above 1 are faster. The pitch stays the
            same. Empty = keep the tempo.
        shift_seconds: range [lowest, highest] of the shift in time, in seconds. Positive values are later, with silence
            before the clip. A clip is shifted by at most a quarter of its length. Empty = no shift.
        probability: probability of each effect for each variant. A variant always gets at least one effect.
        seed: seed of the random draws. It is not the seed of the run, so runs with different seeds share the stored
            features.

    Raises:
        ConfigError: a range is not a range or is out of bounds, or there are copies without a range. The error names
            all problems.
    """

    copies: int = 0
    noise_snr_db: tuple[float, ...] = ()
    pitch_semitones: tuple[float, ...] = ()
    stretch: tuple[float, ...] = ()
    shift_seconds: tuple[float, ...] = ()
    probability: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.copies <= _MAX_COPIES:
            problems.append(f"augment.copies: found {self.copies}, expected 0 to {_MAX_COPIES}")
        if not 0 < self.probability <= 1:
            problems.append(f"augment.probability: found {self.probability}, expected above 0 and at most 1")
        if self.seed < 0:
            problems.append(f"augment.seed: found {self.seed}, expected at least 0")
        limits = {**_LIMITS, "shift_seconds": (-_MAX_SHIFT_SECONDS, _MAX_SHIFT_SECONDS)}
        for name, (low, high) in limits.items():
            values = getattr(self, name)
            is_range = len(values) == 2 and all(map(math.isfinite, values)) and low <= values[0] <= values[1] <= high
            if values and not is_range:
                problems.append(
                    f"augment.{name}: found {list(values)}, expected [lowest, highest] between {low:g} and {high:g}"
                )
        if self.copies and not self.ranges:
            problems.append(f"augment: found {self.copies} copies without any effect; give one of {', '.join(limits)}")
        if problems:
            raise ConfigError(*problems)

    @property
    def ranges(self) -> dict[str, tuple[float, ...]]:
        """The effects that are switched on, with their ranges."""
        names = ("stretch", "pitch_semitones", "shift_seconds", "noise_snr_db")
        return {name: values for name in names if (values := getattr(self, name))}


def draw_effects(augmentation: Augmentation, utterance_id: str, copy: int) -> Effects:
    """Draw the effects of one variant. They depend only on the augmentation, the id of the utterance and ``copy``.

    >>> draw_effects(Augmentation(copies=1, stretch=(0.9, 0.9)), "train/dia0_utt0", 1).stretch
    0.9
    """
    text = json.dumps([augmentation.seed, utterance_id, copy])
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    # All numbers are drawn, also those that are not used. Another effect then does not change the values of the rest.
    drawn = {name: (rng.random(), rng.random()) for name in ("stretch", "pitch_semitones", "shift_seconds")}
    drawn["noise_snr_db"] = (rng.random(), rng.random())
    noise_seed, forced_effect = int(rng.integers(2**31)), float(rng.random())
    ranges = augmentation.ranges
    used = [name for name in ranges if drawn[name][0] < augmentation.probability]
    if not used:
        used = [list(ranges)[int(forced_effect * len(ranges))]]
    # Values are rounded so that the key in the store is the same on every machine.
    values = {name: round(ranges[name][0] + drawn[name][1] * (ranges[name][1] - ranges[name][0]), 6) for name in used}
    return Effects(**values, noise_seed=noise_seed if "noise_snr_db" in used else 0)


def variant_id(utterance_id: str, copy: int) -> str:
    """Return the id of a variant; copy 0 is the original utterance.

    >>> variant_id("train/dia0_utt0", 2), variant_id("train/dia0_utt0", 0)
    ('train/dia0_utt0#variant2', 'train/dia0_utt0')
    """
    return f"{utterance_id}#variant{copy}" if copy else utterance_id


def replace_by_variants(dialogues: Sequence[Dialogue], augmentation: Augmentation, copy: int) -> list[Dialogue]:
    """Return the dialogues with each utterance replaced by its variant number ``copy`` (1 to the number of copies)."""

    def variant_of(turn: Utterance) -> Utterance:
        audio = None if turn.audio is None else replace(turn.audio, effects=draw_effects(augmentation, turn.id, copy))
        return replace(turn, id=variant_id(turn.id, copy), audio=audio)

    return [replace(dialogue, utterances=tuple(map(variant_of, dialogue))) for dialogue in dialogues]


def with_variant_rows(
    rows: Mapping[str, Array], variant_rows: Mapping[str, Array], dialogues: Sequence[Dialogue], n_copies: int
) -> dict[str, Array]:
    """Return the rows of one modality, extended by a row for each variant of the utterances in these dialogues.

    A variant without a row of its own gets the row of the original. So a modality that is not augmented has rows for
    all variants, and a variant that could not be encoded is replaced by the original.

    Args:
        rows: rows of the original utterances, by utterance id.
        variant_rows: rows of the variants, by the variant's id.
        dialogues: dialogues with the original utterances.
        n_copies: number of variants of each utterance.
    """
    extended = dict(rows)
    for dialogue in dialogues:
        for turn in dialogue:
            for copy in range(1, n_copies + 1):
                key = variant_id(turn.id, copy)
                row = variant_rows.get(key, rows.get(turn.id))
                if row is not None:
                    extended[key] = row
    return extended


@dataclass(frozen=True)
class VariantPicker:
    """Picks, for each utterance in an epoch, the original or one of its variants. All have the same probability.

    Args:
        n_copies: number of variants of each utterance, in addition to the original.
    """

    n_copies: int

    def __call__(self, dialogues: Sequence[Dialogue], seed: int, epoch: int) -> list[Dialogue]:
        """Return the dialogues with the ids of the picked utterances; the result depends only on the arguments."""
        rng = np.random.default_rng([seed, epoch, self.n_copies])
        picked = []
        for dialogue in dialogues:
            copies = rng.integers(self.n_copies + 1, size=len(dialogue)).tolist()
            turns = (replace(turn, id=variant_id(turn.id, copy)) for turn, copy in zip(dialogue, copies, strict=True))
            picked.append(replace(dialogue, utterances=tuple(turns)))
        return picked
