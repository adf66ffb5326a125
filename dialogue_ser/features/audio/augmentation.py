"""Augmented variants of training utterances: drawn once, encoded and stored like any other, picked anew every epoch.

A variant of an utterance is an utterance: another id, the same speaker, label and text, and an audio reference with
:class:`~dialogue_ser.media.effects.Effects`. Whatever decodes by ``decode_turn`` hears it changed, and the feature
store keeps it under a key of its own, so frozen features of N variants are computed once.
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

# Beyond these the speech is no longer that of a person.
_LIMITS = {"noise_snr_db": (-20.0, 120.0), "pitch_semitones": (-12.0, 12.0), "stretch": (0.5, 2.0)}
_LONGEST_SHIFT_SECONDS = 10.0
_MOST_COPIES = 64


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse asks the vars() of a nested default
class Augmentation:
    """Which variants of every training utterance there are. Each range is [lowest, highest], or empty for none.

    Args:
        copies: variants per utterance beside the original; 0 = no augmentation.
        noise_snr_db: white noise at this signal-to-noise ratio.
        pitch_semitones: higher (positive) or lower.
        stretch: faster (above 1) or slower, at the same pitch.
        shift_seconds: later (positive, silence before) or earlier, by a quarter of the clip at most.
        probability: with which each effect is applied to a variant; a variant with none gets one of them.
        seed: of the draws. It is not the run's seed, so runs with several seeds share stored features.

    Raises:
        ConfigError: a range that is none, or out of bounds; copies without any range; names all of them.
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
        if not 0 <= self.copies <= _MOST_COPIES:
            problems.append(f"augment.copies: found {self.copies}, expected 0 to {_MOST_COPIES}")
        if not 0 < self.probability <= 1:
            problems.append(f"augment.probability: found {self.probability}, expected above 0 and at most 1")
        if self.seed < 0:
            problems.append(f"augment.seed: found {self.seed}, expected at least 0")
        limits = {**_LIMITS, "shift_seconds": (-_LONGEST_SHIFT_SECONDS, _LONGEST_SHIFT_SECONDS)}
        for name, (low, high) in limits.items():
            values = getattr(self, name)
            is_range = len(values) == 2 and all(map(math.isfinite, values)) and low <= values[0] <= values[1] <= high
            if values and not is_range:
                problems.append(
                    f"augment.{name}: found {list(values)}, expected [lowest, highest] between {low:g} and {high:g}"
                )
        if self.copies and not self.ranges:
            problems.append(f"augment: {self.copies} copies without any effect; give one of {', '.join(limits)}")
        if problems:
            raise ConfigError(*problems)

    @property
    def ranges(self) -> dict[str, tuple[float, ...]]:
        """Effects that are asked for, with their ranges."""
        names = ("stretch", "pitch_semitones", "shift_seconds", "noise_snr_db")
        return {name: values for name in names if (values := getattr(self, name))}


def draw(augmentation: Augmentation, utterance_id: str, copy: int) -> Effects:
    """The effects of one variant: a pure function of the augmentation's seed, the utterance's id and the copy.

    >>> draw(Augmentation(copies=1, stretch=(0.9, 0.9)), "train/dia0_utt0", 1).stretch
    0.9
    """
    text = json.dumps([augmentation.seed, utterance_id, copy])
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    # Every number is drawn whether it is used or not: one effect more or less leaves the others as they are.
    drawn = {name: (rng.random(), rng.random()) for name in ("stretch", "pitch_semitones", "shift_seconds")}
    drawn["noise_snr_db"] = (rng.random(), rng.random())
    noise_seed, last_resort = int(rng.integers(2**31)), float(rng.random())
    ranges = augmentation.ranges
    used = [name for name in ranges if drawn[name][0] < augmentation.probability]
    if not used:
        used = [list(ranges)[int(last_resort * len(ranges))]]
    # Rounded so that the key in the store reads the same everywhere.
    values = {name: round(ranges[name][0] + drawn[name][1] * (ranges[name][1] - ranges[name][0]), 6) for name in used}
    return Effects(**values, noise_seed=noise_seed if "noise_snr_db" in used else 0)


def variant_id(utterance_id: str, copy: int) -> str:
    """Id of a variant; copy 0 is the original.

    >>> variant_id("train/dia0_utt0", 2), variant_id("train/dia0_utt0", 0)
    ('train/dia0_utt0#variant2', 'train/dia0_utt0')
    """
    return f"{utterance_id}#variant{copy}" if copy else utterance_id


def variants(dialogues: Sequence[Dialogue], augmentation: Augmentation, copy: int) -> list[Dialogue]:
    """The dialogues with every utterance's variant ``copy`` (1 … copies) in its place."""

    def changed(turn: Utterance) -> Utterance:
        audio = None if turn.audio is None else replace(turn.audio, effects=draw(augmentation, turn.id, copy))
        return replace(turn, id=variant_id(turn.id, copy), audio=audio)

    return [replace(dialogue, utterances=tuple(map(changed, dialogue))) for dialogue in dialogues]


def with_variant_rows(
    rows: Mapping[str, Array], varied: Mapping[str, Array], dialogues: Sequence[Dialogue], n_copies: int
) -> dict[str, Array]:
    """One modality's rows, and for every variant of these dialogues its own row where it has one, else the original's.

    So a modality that is not augmented serves all variants, and a variant that could not be encoded is the original.
    """
    found = dict(rows)
    for dialogue in dialogues:
        for turn in dialogue:
            for copy in range(1, n_copies + 1):
                name = variant_id(turn.id, copy)
                row = varied.get(name, rows.get(turn.id))
                if row is not None:
                    found[name] = row
    return found


@dataclass(frozen=True)
class VariantPicker:
    """Picks for every utterance of an epoch the original or one of its variants, each as likely.

    Args:
        n_copies: variants beside the original.
    """

    n_copies: int

    def __call__(self, dialogues: Sequence[Dialogue], seed: int, epoch: int) -> list[Dialogue]:
        """The dialogues with the ids of what was picked; depends on nothing but the arguments."""
        rng = np.random.default_rng([seed, epoch, self.n_copies])
        picked = []
        for dialogue in dialogues:
            copies = rng.integers(self.n_copies + 1, size=len(dialogue)).tolist()
            turns = (replace(turn, id=variant_id(turn.id, copy)) for turn, copy in zip(dialogue, copies, strict=True))
            picked.append(replace(dialogue, utterances=tuple(turns)))
        return picked
