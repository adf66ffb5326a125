"""MFCC-39 frames for document E1, by HTK's conventions (docs/equations.md, "E1: MFCC-39").

E1 says that it computed its MFCC with librosa. This module departs from that: E1's settings are those of HTK's and
openSMILE's MFCC, so the module follows HTK. Its numbers therefore differ from those of E1.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.frames import frame_encoder
from dialogue_ser.features.core.api import Array

_N_CEPSTRA = 12
_DELTA_WINDOW = 2
_FULL_SCALE = 32768.0  # HTK works on 16-bit samples, and _FLOOR is in their unit
_FLOOR = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MfccSettings:
    """The settings of MFCC-39 frames, and their computation.

    Args:
        sample_rate_hz: sample rate in Hz that clips are resampled to.
        frame_seconds: length of a frame in seconds.
        hop_seconds: distance between two frames in seconds.
        n_mels: number of mel bands from 0 Hz to half the sample rate.
        lifter: parameter L of the cepstral lifter 1 + L/2·sin(πn/L).
        mean_normalise: True to subtract from each column its mean over the utterance.

    Raises:
        ConfigError: settings are out of range. The error names all of them.
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
        """Return frames (L, 39) of samples (n,): [log-energy, MFCC 1 to 12], their Δ and their ΔΔ.

        L = 1 + ⌊(n − frame) / hop⌋. A clip shorter than one frame is filled with silence to one frame. Samples after
        the last whole frame are left out.
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
    """Return HTK's mel filters ``[n_mels, n_fft // 2 + 1]``: triangles over the mel scale with a peak of 1."""
    mels_F = 1127.0 * np.log1p(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz) / 700.0)
    edges = np.linspace(0.0, 1127.0 * np.log1p(sample_rate_hz / 2 / 700.0), n_mels + 2)
    step = edges[1]
    filters: Array = np.maximum(0.0, 1.0 - np.abs(mels_F[None] - edges[1:-1, None]) / step)
    return filters


def regression_delta(x_LD: Array, window: int) -> Array:
    """Return the slope of each column, fitted over ``window`` frames on each side ("Deltas by regression").

    The first frame also stands for the frames before it, and the last frame for the frames after it.

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


mfcc39 = frame_encoder(
    "mfcc39",
    MfccSettings,
    description="""Build the encoder of MFCC-39 frames (L, 39) for E1: [log-energy, MFCC 1 to 12], their Δ, their ΔΔ.

    E1 names log-energy, 26 bands, a lifter of 22 and mean normalisation. In HTK and openSMILE these settings are called
    MFCC_E_D_A_Z, so HTK's conventions hold where E1 gives none. librosa, which E1 used, differs in these points:

    - The filters act on the magnitude spectrum. They are triangles over the mel scale 1127·ln(1 + f/700) with a peak of
      1. (librosa: power spectrum, triangles over Hz on Slaney's scale with an area of 1.)
    - The logarithm is natural, of values of at least 1 on the scale of 16-bit samples. (librosa: dB, cut off at 80 dB
      below the peak.)
    - Δ is a regression over ±2 frames, and ΔΔ is the Δ of Δ. (librosa: a polynomial over 9 frames, and its second
      derivative.)

    The DCT-II is orthonormal, the lifter is 1 + L/2·sin(πn/L), and the energy is that of the frame before the window.
    Own choice: no pre-emphasis, because E1 names none; the mean is subtracted from Δ and ΔΔ too, because E1 says so of
    all features; the FFT has the next power of two as its length (2048 samples at 16 kHz).

    Raises:
        ConfigError: a setting is out of range.
    """,
)
