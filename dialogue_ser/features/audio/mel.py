"""Log-mel frames, with or without Δ and ΔΔ, computed with librosa, for the documents E2, E3 and E4 (docs/equations.md).

An image of a sound is stored as frames (L, D), one row per time step. A row holds one channel after the other, and each
channel holds its bands from low to high: column ``channel * n_mels + band``. To get an image ``[channels, n_mels, L]``,
a trained encoder calls ``frames.reshape(L, channels, n_mels)`` and moves time to the end. This module does not cut or
stretch clips to one width. The trained encoder does that, and it pads. The transform ``standardise``, fitted on train,
normalises the values.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.frames import frame_encoder
from dialogue_ser.features.core.api import Array

_MIN_POWER = 1e-10  # silence becomes −100 dB
_DELTA_WIDTH = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class MelSettings:
    """The settings of log-mel frames, and their computation.

    Args:
        name: name of the encoder, for error messages.
        sample_rate_hz: sample rate in Hz that clips are resampled to.
        n_mels: number of mel bands from 0 Hz to half the sample rate.
        n_fft: length of the FFT in samples; the Hann window lies in its middle.
        frame_samples: length of the Hann window in samples.
        hop_samples: distance between two frames in samples.
        with_deltas: True to append Δ and ΔΔ.

    Raises:
        ConfigError: settings are out of range. The error names all of them.
    """

    name: str
    sample_rate_hz: int = 22050
    n_mels: int = 128
    n_fft: int = 2048
    frame_samples: int = 2048
    hop_samples: int = 512
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
                f"n_mels {self.n_mels} is too large: {n_empty} bands contain no bin of an FFT of {self.n_fft}; "
                "increase n_fft or decrease n_mels"
            )
        if problems:
            raise ConfigError(*(f"{self.name}: {problem}" for problem in problems))

    def frames(self, samples: Array) -> Array:
        """Return frames (L, n_mels), or (L, 3·n_mels) with Δ and ΔΔ, in dB; L = 1 + ⌊n / hop⌋ for n samples (n,)."""
        import librosa  # imported here because it loads slowly and most runs do not need it

        # Frames are centred, with silence at both ends. This equals librosa's center=True, without its warning about
        # short clips.
        padded = np.pad(samples, self.n_fft // 2)
        spectrum_FL = librosa.stft(
            padded, n_fft=self.n_fft, hop_length=self.hop_samples, win_length=self.frame_samples, center=False
        )
        power_ML = mel_filters(self) @ np.abs(spectrum_FL) ** 2
        mel_ML: Array = librosa.power_to_db(power_ML, ref=1.0, amin=_MIN_POWER, top_db=None)
        if self.with_deltas:
            # At the ends the fitted polynomial continues. A clip that is too short for a fit repeats its first and last
            # frame instead.
            mode = "interp" if mel_ML.shape[1] >= _DELTA_WIDTH else "nearest"
            deltas = [librosa.feature.delta(mel_ML, width=_DELTA_WIDTH, order=k, mode=mode) for k in (1, 2)]
            mel_ML = np.concatenate([mel_ML, *deltas])
        return mel_ML.T


def mel_filters(settings: MelSettings) -> Array:
    """Return librosa's mel filters ``[n_mels, n_fft // 2 + 1]``: Slaney's scale, triangles over Hz of area 1."""
    return _filters(settings.sample_rate_hz, settings.n_fft, settings.n_mels)


@lru_cache(maxsize=8)
def _filters(sample_rate_hz: int, n_fft: int, n_mels: int) -> Array:
    import warnings

    import librosa

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")  # MelSettings raises an error
        filters: Array = librosa.filters.mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=n_mels)
    return filters


logmel = frame_encoder(
    "logmel",
    MelSettings,
    fixed={"name": "logmel", "with_deltas": False},
    description="""Build the encoder of log-mel frames (L, 128) for E2: images of one channel at 22 kHz.

    E2 names the library (librosa) and 22 kHz, which we read as librosa's own 22,050 Hz. Own choice: librosa's other
    defaults, which are 128 bands, FFT and Hann window of 2048 samples, a hop of 512 samples, and dB. One default of
    librosa is left out: values 80 dB below the loudest one are not cut off, so a frame has the same values in every
    utterance. Normalise the frames with the transform ``standardise``.

    Raises:
        ConfigError: a setting is out of range.
    """,
)

logmel3 = frame_encoder(
    "logmel3",
    MelSettings,
    fixed={"name": "logmel3", "with_deltas": True},
    description="""Build the encoder of log-mel frames (L, 384) for E4: images of three channels (log-mel, Δ, ΔΔ).

    E4 speaks of "3D spectrogram" and mel-scaled spectrograms (its formula is that of MFCC) and gives no setting. Own
    choice: the channels and all settings. They are usual for AlexNet on speech.

    Raises:
        ConfigError: a setting is out of range.
    """,
)

mel_delta = frame_encoder(
    "mel-delta",
    MelSettings,
    fixed={"name": "mel-delta", "with_deltas": True},
    defaults={"sample_rate_hz": 16000, "frame_samples": 400, "hop_samples": 400},
    description="""Build the encoder of mel, Δ and ΔΔ frames (L, 384) for E3.

    E3 gives 128 bands, frames of 25 ms, an FFT of 2048 samples and a hop of 400 samples at 16 kHz. It uses librosa's
    terms, so librosa's conventions hold where it gives none: Slaney's mel scale, triangles over Hz with an area of 1 on
    the power spectrum, a Hann window, centred frames, and Δ and ΔΔ as first and second derivative of a polynomial over
    9 frames. (HTK has triangles over mel with a peak of 1 on the magnitude spectrum, and a regression over 5 frames,
    applied twice for ΔΔ.) Own choice: values in dB, and Δ and ΔΔ of the dB values.

    Raises:
        ConfigError: a setting is out of range.
    """,
)
