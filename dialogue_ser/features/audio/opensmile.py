"""Encoder of openSMILE's functionals or low-level descriptors."""

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError, MediaError, unknown_name
from dialogue_ser.features.audio.decoding import decode_turn, rows_of_clips
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.media.decode import decoder_versions
from dialogue_ser.versions import installed_version

FEATURE_SETS = {"eGeMAPSv02": 88, "emobase": 988, "ComParE_2016": 6373}
LOW_LEVEL_DESCRIPTORS = {"eGeMAPSv02": 25, "emobase": 26, "ComParE_2016": 65}
LEVELS = {"functionals": "Functionals", "lld": "LowLevelDescriptors"}
_ONE_AT_A_TIME = threading.Lock()  # openSMILE is not thread-safe; several processes are needed to use several cores


class OpenSmile:
    """Encoder that gives a vector of functionals, or frames of low-level descriptors, for each utterance with audio.

    Args:
        feature_set: name of openSMILE's feature set: eGeMAPSv02, emobase or ComParE_2016.
        level: ``functionals`` gives one vector (88, 988 or 6373 values). ``lld`` gives the low-level descriptors, from
            which openSMILE computes the functionals: one frame every 10 ms (25, 26 or 65 values). The pitch is 0 in
            frames without voice.
        sample_rate_hz: sample rate in Hz. Every clip is first mixed to mono and resampled to it.
        processes: number of worker processes for many clips; 0 means one per CPU core.
        on_bad: ``error`` stops at clips that cannot be decoded or are too short for openSMILE (below about 0.1 s),
            ``mask`` leaves them out.
        modality: name of the modality in the batch.

    Attributes:
        on_progress: None, or a function that you set; it is called with the number of clips that were just finished.
        processes: the argument above; :func:`~dialogue_ser.features.store.engines.engine_for` reads it.

    Raises:
        ConfigError: the feature set or the level is unknown, or an option is out of range.
    """

    def __init__(
        self,
        *,
        feature_set: str = "eGeMAPSv02",
        level: str = "functionals",
        sample_rate_hz: int = 16000,
        processes: int = 0,
        on_bad: OnBad = "error",
        modality: str = "audio",
    ) -> None:
        if feature_set not in FEATURE_SETS:
            raise ConfigError(f"opensmile: feature_set {feature_set!r} is none of {', '.join(FEATURE_SETS)}")
        if level not in LEVELS:
            raise ConfigError(f"opensmile: {unknown_name('level', level, LEVELS)}")
        if sample_rate_hz < 8000 or processes < 0:
            raise ConfigError(
                f"opensmile: sample_rate_hz {sample_rate_hz} must be at least 8000, processes {processes} at least 0"
            )
        self.name = "opensmile"
        self.kind: InputKind = "frames" if level == "lld" else "vector"
        self.modality = modality
        self.traits = EncoderTraits(context=(0, 0), reads=("audio",), may_be_nan=True)
        self.on_progress: Callable[[int], None] | None = None
        self._feature_set = feature_set
        self._level = level
        self._sample_rate_hz = sample_rate_hz
        self.processes = processes
        self._on_bad: OnBad = on_bad

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the feature set, level and sample rate, and the versions of openSMILE and of the decoder."""
        # Models that were saved before the option existed must find the same fingerprint again.
        level = {} if self._level == "functionals" else {"level": self._level}
        versions = {"opensmile": installed_version("opensmile"), **decoder_versions()}
        return {"feature_set": self._feature_set, **level, "sample_rate_hz": self._sample_rate_hz, "versions": versions}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return a float32 row for every utterance whose audio can be used: ``[D]``, or ``[L, D]`` at level ``lld``.

        All clips are encoded in this process.

        Raises:
            MediaError: ``on_bad`` is ``error`` and clips are broken, missing or too short. The error names all of them.
        """
        return rows_of_clips(dialogues, self._encode_turn, self._on_bad, self.on_progress)

    def _encode_turn(self, turn: Utterance) -> Array:
        """Return the features of one utterance, ``[D]`` or ``[L, D]``.

        Raises:
            MediaError: the clip cannot be decoded, or it is too short.
        """
        samples = decode_turn(turn, self._sample_rate_hz)
        # openSMILE converts to 16 bit without clipping, so a sample of 1.0 would wrap around to −1.0.
        samples = np.clip(samples, -1.0, 1.0 - 2.0**-15)
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Segment too short")
            smile = _smile(self._feature_set, self._level)
            values: Array = smile.process_signal(samples, self._sample_rate_hz).to_numpy(dtype=np.float32)
        if np.isnan(values).all():
            seconds = len(samples) / self._sample_rate_hz
            raise MediaError(f"audio of {seconds:.3f} s is too short for {self._feature_set}, which needs about 0.1 s")
        return values if self._level == "lld" else values[0]


@lru_cache(maxsize=len(FEATURE_SETS) * len(LEVELS))
def _smile(feature_set: str, level: str) -> Any:
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel[LEVELS[level]]
    )
