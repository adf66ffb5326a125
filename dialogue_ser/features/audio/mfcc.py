"""MFCC-39 frames as system E1 reads them (docs/equations.md, E1: MFCC-39), by HTK's conventions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.frames import AcousticFrames
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.bad_clips import OnBad

_N_CEPSTRA = 12
_DELTA_WINDOW = 2
_FULL_SCALE = 32768.0  # HTK works on 16-bit samples; its floor of 1 is in these units
_FLOOR = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MfccSettings:
    """How MFCC-39 frames are computed.

    Args:
        sample_rate_hz: clips are resampled to it.
        frame_seconds: length of a frame.
        hop_seconds: from frame to frame.
        n_mels: mel bands from 0 Hz to half the rate.
        lifter: cepstral lifter L.
        mean_normalise: subtract each column's mean over the utterance.

    Raises:
        ConfigError: a setting out of range; names all of them.
    """

    sample_rate_hz: int = 16000
    frame_seconds: float = 0.1
    hop_seconds: float = 0.05
    n_mels: int = 26
    lifter: int = 22
    mean_normalise: bool = True

    def __post_init__(self) -> None:
        problems = []
        if self.sample_rate_hz < 8000:
            problems.append(f"mfcc39: sample_rate_hz {self.sample_rate_hz} must be at least 8000")
        if not 0.005 <= self.frame_seconds <= 1:
            problems.append(f"mfcc39: frame_seconds {self.frame_seconds} must lie between 0.005 and 1")
        if not 0.001 <= self.hop_seconds <= self.frame_seconds:
            problems.append(f"mfcc39: hop_seconds {self.hop_seconds} must lie between 0.001 and frame_seconds")
        if not _N_CEPSTRA < self.n_mels <= 128:
            problems.append(f"mfcc39: n_mels {self.n_mels} must lie between {_N_CEPSTRA + 1} and 128")
        if self.lifter < 1:
            problems.append(f"mfcc39: lifter {self.lifter} must be at least 1")
        if problems:
            raise ConfigError(*problems)

    def frames(self, samples: Array) -> Array:
        """Samples (n,) to frames (L, 39): static, Δ and ΔΔ of [log-energy, MFCC 1–12].

        L = 1 + ⌊(n − frame) / hop⌋; a clip shorter than one frame is filled up with silence, a rest is left out.
        """
        length, hop = round(self.frame_seconds * self.sample_rate_hz), round(self.hop_seconds * self.sample_rate_hz)
        signal = np.zeros(max(len(samples), length))
        signal[: len(samples)] = samples * _FULL_SCALE
        frames_LN = sliding_window_view(signal, length)[::hop]
        log_energy_L = np.log(np.maximum((frames_LN**2).sum(axis=1), _FLOOR))
        static_LD = np.concatenate([log_energy_L[:, None], self._cepstra(frames_LN)], axis=1)
        delta_LD = regression_delta(static_LD, _DELTA_WINDOW)
        all_LD = np.concatenate([static_LD, delta_LD, regression_delta(delta_LD, _DELTA_WINDOW)], axis=1)
        normalised: Array = all_LD - all_LD.mean(axis=0) if self.mean_normalise else all_LD
        return normalised

    def _cepstra(self, frames_LN: Array) -> Array:
        length = frames_LN.shape[1]
        n_fft = 1 << (length - 1).bit_length()
        spectrum_LF = np.abs(np.fft.rfft(frames_LN * np.hamming(length), n_fft))
        bands_LM = spectrum_LF @ htk_filters(self.sample_rate_hz, n_fft, self.n_mels).T
        cepstra_LM = scipy.fft.dct(np.log(np.maximum(bands_LM, _FLOOR)), type=2, norm="ortho", axis=1)
        order = np.arange(1, _N_CEPSTRA + 1)
        lifted: Array = cepstra_LM[:, order] * (1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter))
        return lifted


@lru_cache(maxsize=8)
def htk_filters(sample_rate_hz: int, n_fft: int, n_mels: int) -> Array:
    """HTK's mel filters ``[n_mels, n_fft // 2 + 1]``: triangles whose sides are straight over mel, peaks of 1."""
    mels_F = 1127.0 * np.log1p(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz) / 700.0)
    edges = np.linspace(0.0, 1127.0 * np.log1p(sample_rate_hz / 2 / 700.0), n_mels + 2)
    step = edges[1]
    filters: Array = np.maximum(0.0, 1.0 - np.abs(mels_F[None] - edges[1:-1, None]) / step)
    return filters


def regression_delta(x_LD: Array, window: int) -> Array:
    """Slope of each column over ``window`` frames to either side; the first and last frame stand for those beyond.

    >>> regression_delta(np.arange(5.0)[:, None], 2)[:, 0].tolist()
    [0.5, 0.8, 1.0, 0.8, 0.5]
    """
    padded = np.pad(x_LD, ((window, window), (0, 0)), mode="edge")
    n = len(x_LD)
    slopes = sum(
        k * (padded[window + k : window + k + n] - padded[window - k : window - k + n]) for k in range(1, window + 1)
    )
    delta: Array = slopes / (2 * sum(k * k for k in range(1, window + 1)))
    return delta


def mfcc39(
    *,
    sample_rate_hz: int = 16000,
    frame_seconds: float = 0.1,
    hop_seconds: float = 0.05,
    n_mels: int = 26,
    lifter: int = 22,
    mean_normalise: bool = True,
    on_bad: OnBad = "error",
    modality: str = "audio",
) -> AcousticFrames:
    """MFCC-39 frames (L, 39) with the settings of E1: [log-energy, MFCC 1–12], then their Δ, then their ΔΔ.

    E1's words (log-energy, 26 bands, lifter 22, mean-normalised) are HTK's and openSMILE's MFCC_E_D_A_Z, so HTK's
    conventions hold where the document is silent: magnitude spectrum; triangles straight over the mel scale
    1127·ln(1 + f/700), peak 1 (librosa: straight over Hz, Slaney's scale, area 1, power spectrum); natural logarithm
    floored at 1 on 16-bit scale (librosa: dB, 80 below the peak); orthonormal DCT-II; lifter 1 + L/2·sin(πn/L); Δ by
    regression over ±2 frames, ΔΔ the Δ of Δ (librosa: Savitzky-Golay over 9 frames, its second derivative); energy of
    the frame before the window. Own choices: no pre-emphasis, as the document names none; Δ and ΔΔ are mean-normalised
    too, as it says of all features; FFT of the next power of two (2048 at 16 kHz).

    Raises:
        ConfigError: a setting out of range.
    """
    settings = MfccSettings(
        sample_rate_hz=sample_rate_hz,
        frame_seconds=frame_seconds,
        hop_seconds=hop_seconds,
        n_mels=n_mels,
        lifter=lifter,
        mean_normalise=mean_normalise,
    )
    return AcousticFrames("mfcc39", settings, revision=1, on_bad=on_bad, modality=modality)
