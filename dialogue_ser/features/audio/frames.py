"""What encoders of acoustic frames share: decode every utterance, describe it by frames (L, D), tell of bad clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, ClassVar, Protocol

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.audio.decoding import decode_turn, rows_of_clips
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.media.decode import decoder_versions

_LIBRARIES = ("librosa", "numpy", "scipy")


class FrameSettings(Protocol):
    """Options of one kind of frames: a frozen dataclass that computes them."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def sample_rate_hz(self) -> int:
        """Rate the samples must have."""
        ...

    def frames(self, samples: Array) -> Array:
        """Samples (n,) at ``sample_rate_hz``, n ≥ 1, to frames (L, D), L ≥ 1, finite."""
        ...


class AcousticFrames:
    """Frames (L, D) of every utterance that has audio.

    Args:
        name: registry name.
        settings: options and computation.
        revision: raised when the same settings give other numbers than before.
        on_bad: error, or mask clips that cannot be decoded.
        modality: name under which the batch carries it.

    Attributes:
        on_progress: called with the number of clips just finished; may be set.
    """

    kind: InputKind = "frames"

    def __init__(
        self, name: str, settings: FrameSettings, *, revision: int, on_bad: OnBad = "error", modality: str = "audio"
    ) -> None:
        self.name = name
        self.modality = modality
        self.settings = settings
        self.traits = EncoderTraits(context=(0, 0), reads=("audio",))
        self.on_progress: Callable[[int], None] | None = None
        self._revision = revision
        self._on_bad: OnBad = on_bad

    def fingerprint(self) -> Mapping[str, Any]:
        """Every setting, the revision of the computation, versions of the libraries that decode and compute."""
        versions = {**decoder_versions(), **{name: version(name) for name in _LIBRARIES}}
        return {"settings": asdict(self.settings), "revision": self._revision, "versions": versions}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """float32 ``[L, D]`` for every utterance whose audio can be used.

        Raises:
            MediaError: ``on_bad`` is ``error`` and clips are broken or missing; names all of them.
        """
        return rows_of_clips(dialogues, self._row, self._on_bad, self.on_progress)

    def _row(self, turn: Utterance) -> Array:
        """Raises MediaError where the clip cannot be decoded."""
        return self.settings.frames(decode_turn(turn, self.settings.sample_rate_hz)).astype(np.float32)
