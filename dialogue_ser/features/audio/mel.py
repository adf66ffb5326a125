"""Log-mel frames, with or without Δ and ΔΔ, as E2, E3 and E4 read them (docs/equations.md), by librosa.

An image of a sound is carried as frames (L, D): one row per time step, and in it channel behind channel, each with its
bands from low to high: column ``channel * n_mels + band``. A reader makes an image ``[channels, n_mels, L]`` of it by
``frames.reshape(L, channels, n_mels)`` and moving time to the end. Nothing is cut or stretched to one width here: that,
and its padding, belongs to the reader, and normalisation to the transforms (``standardise`` fitted on train).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.frames import AcousticFrames
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.bad_clips import OnBad

_LEAST_POWER = 1e-10  # −100 dB: what silence becomes
_DELTA_WIDTH = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class MelSettings:
    """How log-mel frames are computed.

    Args:
        name: of the encoder, for error messages.
        sample_rate_hz: clips are resampled to it.
        n_mels: bands from 0 Hz to half the rate.
        n_fft: length of the FFT; the frame lies in its middle.
        frame_samples: length of the Hann window.
        hop_samples: from frame to frame.
        with_deltas: append Δ and ΔΔ.

    Raises:
        ConfigError: a setting out of range; names all of them.
    """

    name: str
    sample_rate_hz: int
    n_mels: int
    n_fft: int
    frame_samples: int
    hop_samples: int
    with_deltas: bool

    def __post_init__(self) -> None:
        problems = []
        if self.sample_rate_hz < 8000:
            problems.append(f"sample_rate_hz {self.sample_rate_hz} must be at least 8000")
        if not 64 <= self.n_fft <= 32768:
            problems.append(f"n_fft {self.n_fft} must lie between 64 and 32768")
        if not 16 <= self.frame_samples <= self.n_fft:
            problems.append(f"frame_samples {self.frame_samples} must lie between 16 and n_fft ({self.n_fft})")
        if not 1 <= self.hop_samples <= self.n_fft:
            problems.append(f"hop_samples {self.hop_samples} must lie between 1 and n_fft ({self.n_fft})")
        if self.n_mels < 1:
            problems.append(f"n_mels {self.n_mels} must be at least 1")
        if not problems and (n_empty := int((mel_filters(self) == 0).all(axis=1).sum())):
            problems.append(
                f"n_mels {self.n_mels} is too many: {n_empty} bands hold no bin of an FFT of {self.n_fft}; raise n_fft "
                "or take fewer"
            )
        if problems:
            raise ConfigError(*(f"{self.name}: {problem}" for problem in problems))

    def frames(self, samples: Array) -> Array:
        """Samples (n,) to frames (L, n_mels), or (L, 3·n_mels) with Δ and ΔΔ; L = 1 + ⌊n / hop⌋; in dB."""
        import librosa  # heavy, and most runs need none of it

        # Frames are centred, with silence beyond both ends: librosa's center=True, without its warning on short clips.
        padded = np.pad(samples, self.n_fft // 2)
        spectrum_FL = librosa.stft(
            padded, n_fft=self.n_fft, hop_length=self.hop_samples, win_length=self.frame_samples, center=False
        )
        power_ML = mel_filters(self) @ np.abs(spectrum_FL) ** 2
        mel_ML: Array = librosa.power_to_db(power_ML, ref=1.0, amin=_LEAST_POWER, top_db=None)
        if self.with_deltas:
            # Beyond the ends a polynomial goes on; a clip shorter than that repeats its outer frames instead.
            mode = "interp" if mel_ML.shape[1] >= _DELTA_WIDTH else "nearest"
            deltas = [librosa.feature.delta(mel_ML, width=_DELTA_WIDTH, order=k, mode=mode) for k in (1, 2)]
            mel_ML = np.concatenate([mel_ML, *deltas])
        return mel_ML.T


def mel_filters(settings: MelSettings) -> Array:
    """Mel filters by librosa ``[n_mels, n_fft // 2 + 1]``: Slaney's scale, triangles over Hz of area 1."""
    return _filters(settings.sample_rate_hz, settings.n_fft, settings.n_mels)


@lru_cache(maxsize=8)
def _filters(sample_rate_hz: int, n_fft: int, n_mels: int) -> Array:
    import warnings

    import librosa

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")  # MelSettings refuses them
        filters: Array = librosa.filters.mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=n_mels)
    return filters


def logmel(
    *,
    sample_rate_hz: int = 22050,
    n_mels: int = 128,
    n_fft: int = 2048,
    frame_samples: int = 2048,
    hop_samples: int = 512,
    on_bad: OnBad = "error",
    modality: str = "audio",
) -> AcousticFrames:
    """Log-mel frames (L, 128) as E2's image of one channel, at 22 kHz; normalise them with ``standardise``.

    The document names the library (librosa) and 22 kHz, read as librosa's own 22,050 Hz; its other defaults are own
    choice: 128 bands, FFT and Hann window of 2048, hop 512, dB. Its cut at 80 dB below the loudest place is left out: a
    frame says the same in any utterance.

    Raises:
        ConfigError: a setting out of range.
    """
    settings = MelSettings(
        name="logmel",
        sample_rate_hz=sample_rate_hz,
        n_mels=n_mels,
        n_fft=n_fft,
        frame_samples=frame_samples,
        hop_samples=hop_samples,
        with_deltas=False,
    )
    return AcousticFrames("logmel", settings, revision=1, on_bad=on_bad, modality=modality)


def logmel3(
    *,
    sample_rate_hz: int = 22050,
    n_mels: int = 128,
    n_fft: int = 2048,
    frame_samples: int = 2048,
    hop_samples: int = 512,
    on_bad: OnBad = "error",
    modality: str = "audio",
) -> AcousticFrames:
    """Log-mel frames (L, 384) as E4's image of three channels: log-mel, its Δ, its ΔΔ, 128 bands each.

    The document says "3D spectrogram" of mel-scaled spectrograms (its formula: of MFCC) and no more: the channels and
    all settings are own choice, the field's usual ones for AlexNet on speech.

    Raises:
        ConfigError: a setting out of range.
    """
    settings = MelSettings(
        name="logmel3",
        sample_rate_hz=sample_rate_hz,
        n_mels=n_mels,
        n_fft=n_fft,
        frame_samples=frame_samples,
        hop_samples=hop_samples,
        with_deltas=True,
    )
    return AcousticFrames("logmel3", settings, revision=1, on_bad=on_bad, modality=modality)


def mel_delta(
    *,
    sample_rate_hz: int = 16000,
    n_mels: int = 128,
    n_fft: int = 2048,
    frame_samples: int = 400,
    hop_samples: int = 400,
    on_bad: OnBad = "error",
    modality: str = "audio",
) -> AcousticFrames:
    """Mel, Δ and ΔΔ frames (L, 384) exactly as E3: 128 bins, 25 ms frames, FFT 2048, hop 400 at 16 kHz.

    Its terms are librosa's, so librosa's conventions hold where the document is silent: Slaney's mel scale and area-1
    triangles over Hz on the power spectrum (HTK: triangles over mel, peak 1, magnitude), Hann window, centred frames, Δ
    and ΔΔ as first and second derivative of a polynomial over 9 frames (HTK: regression over 5, twice). Own choice: in
    dB; Δ and ΔΔ are those of the dB values.

    Raises:
        ConfigError: a setting out of range.
    """
    settings = MelSettings(
        name="mel-delta",
        sample_rate_hz=sample_rate_hz,
        n_mels=n_mels,
        n_fft=n_fft,
        frame_samples=frame_samples,
        hop_samples=hop_samples,
        with_deltas=True,
    )
    return AcousticFrames("mel-delta", settings, revision=1, on_bad=on_bad, modality=modality)
