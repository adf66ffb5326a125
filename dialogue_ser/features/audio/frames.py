"""Encoders of acoustic frames. They decode each utterance and describe its sound by frames (L, D)."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.audio.decoding import decode_turn, rows_of_clips
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.media.decode import decoder_versions
from dialogue_ser.versions import installed_version

_LIBRARIES = ("librosa", "numpy", "scipy")


class FrameSettings(Protocol):
    """Interface of the settings of one kind of frames: a frozen dataclass that also computes the frames."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that the samples must have."""
        ...

    def frames(self, samples: Array) -> Array:
        """Return the frames (L, D) of samples (n,) at ``sample_rate_hz``; n ≥ 1, L ≥ 1, and all values are finite."""
        ...


class AcousticFrames:
    """Encoder that gives frames (L, D) for every utterance that has audio.

    Args:
        name: registry name of the encoder.
        settings: the options of the frames and their computation.
        revision: number of the computation. Increase it when the same settings give other numbers than before.
        on_bad: ``error`` stops at clips that cannot be decoded, ``mask`` leaves them out.
        modality: name of the modality in the batch.

    Attributes:
        on_progress: None, or a function that you set; it is called with the number of clips that were just finished.
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
        """Return all settings, the revision of the computation, and the versions of the libraries that it uses."""
        versions = {**decoder_versions(), **{name: installed_version(name) for name in _LIBRARIES}}
        return {"settings": asdict(self.settings), "revision": self._revision, "versions": versions}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return float32 frames ``[L, D]`` for every utterance whose audio can be used.

        Raises:
            MediaError: ``on_bad`` is ``error`` and clips are broken or missing. The error names all of them.
        """
        return rows_of_clips(dialogues, self._encode_turn, self._on_bad, self.on_progress)

    def _encode_turn(self, turn: Utterance) -> Array:
        """Return the frames of one utterance; raise MediaError if its clip cannot be decoded."""
        return self.settings.frames(decode_turn(turn, self.settings.sample_rate_hz)).astype(np.float32)


def frame_encoder(
    name: str,
    settings: type[Any],
    *,
    fixed: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    description: str,
) -> Callable[..., AcousticFrames]:
    """Return a function that builds an encoder of acoustic frames.

    The parameters of that function are the fields of the settings, ``on_bad`` and ``modality``. The registry reads them
    from its signature, so every option and its default is written once, in the settings.

    Args:
        name: registry name of the encoder.
        settings: dataclass of the settings, see :class:`FrameSettings`.
        fixed: fields with the value that this encoder always has; they are no options.
        defaults: default values of this encoder that differ from those of the settings.
        description: docstring of the function.
    """
    fixed, defaults = fixed or {}, defaults or {}

    def build(*, on_bad: OnBad = "error", modality: str = "audio", **options: Any) -> AcousticFrames:
        values = settings(**fixed, **{**defaults, **options})
        return AcousticFrames(name, values, revision=1, on_bad=on_bad, modality=modality)

    options = [
        option.replace(default=defaults.get(option.name, option.default))
        for option in inspect.signature(settings).parameters.values()
        if option.name not in fixed
    ]
    common = [inspect.signature(build).parameters[parameter] for parameter in ("on_bad", "modality")]
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*options, *common], return_annotation=AcousticFrames
    )
    build.__name__ = build.__qualname__ = name.replace("-", "_")
    build.__doc__ = description
    return build
