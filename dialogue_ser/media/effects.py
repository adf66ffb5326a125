"""Changes to a waveform that leave its emotion: stretch, pitch, shift, noise. Used to augment training data."""

from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError

#: Raised when the same effects give other samples than before.
EFFECTS_REVISION = 1
_FEWEST_SAMPLES = 64
_N_FFT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What is done to one waveform, in this order; the defaults do nothing.

    Args:
        stretch: how much faster it becomes at the same pitch: 1.25 makes 4 s of 5 s.
        pitch_semitones: how much higher it becomes at the same tempo.
        shift_seconds: how much later it begins; silence comes before, and as much is lost at its end. Negative:
            earlier. By a quarter of the clip at most.
        noise_snr_db: white Gaussian noise this far below the signal's mean power; None = none. Silence gets none.
        noise_seed: of the noise.
    """

    stretch: float = 1.0
    pitch_semitones: float = 0.0
    shift_seconds: float = 0.0
    noise_snr_db: float | None = None
    noise_seed: int = 0


def describe_effects(effects: Effects) -> dict[str, Any]:
    """What decides the changed samples, JSON-able: part of the feature store's key.

    >>> describe_effects(Effects(stretch=1.1))["stretch"]
    1.1
    """
    return {**asdict(effects), "revision": EFFECTS_REVISION, "librosa": _librosa_version()}


@cache
def _librosa_version() -> str:
    return version("librosa")  # searches the installed packages: too slow to ask for every utterance


def apply_effects(samples: NDArray[np.float32], sample_rate_hz: int, effects: Effects) -> NDArray[np.float32]:
    """The changed waveform, float32; the same on every call. Peaks may exceed ±1.

    Args:
        samples: (n,) at ``sample_rate_hz``, finite.
        sample_rate_hz: of the samples.
        effects: what to do.

    Raises:
        MediaError: too few samples to stretch or to change the pitch of.

    >>> apply_effects(np.array([1, 2, 3, 4], np.float32), 1, Effects(shift_seconds=1)).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    changed = samples
    if effects.stretch != 1.0 or effects.pitch_semitones != 0.0:
        changed = _stretched(changed, sample_rate_hz, effects)
    if effects.shift_seconds:
        changed = _shifted(changed, round(effects.shift_seconds * sample_rate_hz))
    if effects.noise_snr_db is not None:
        changed = _noisy(changed, effects.noise_snr_db, effects.noise_seed)
    return np.ascontiguousarray(changed, dtype=np.float32)


def _stretched(samples: NDArray[np.float32], sample_rate_hz: int, effects: Effects) -> NDArray[np.float32]:
    import librosa  # heavy, and only training with augmentation needs it

    if len(samples) < _FEWEST_SAMPLES:
        raise MediaError(f"{len(samples)} samples are too few to stretch or change the pitch of; mask or drop the clip")
    # librosa warns where the FFT is longer than the clip.
    n_fft = min(_N_FFT, 1 << (len(samples).bit_length() - 1))
    if effects.stretch != 1.0:
        samples = librosa.effects.time_stretch(samples, rate=effects.stretch, n_fft=n_fft)
        n_fft = min(n_fft, 1 << (max(len(samples), 2).bit_length() - 1))
    if effects.pitch_semitones:
        samples = librosa.effects.pitch_shift(
            samples, sr=sample_rate_hz, n_steps=effects.pitch_semitones, n_fft=n_fft, res_type="soxr_hq"
        )
    return samples


def _shifted(samples: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    n = max(min(n, len(samples) // 4), -(len(samples) // 4))
    shifted = np.zeros_like(samples)
    shifted[max(n, 0) : len(samples) + min(n, 0)] = samples[max(-n, 0) : len(samples) - max(n, 0)]
    return shifted


def _noisy(samples: NDArray[np.float32], snr_db: float, seed: int) -> NDArray[np.float32]:
    power = float(np.mean(samples.astype(np.float64) ** 2))
    if power == 0.0:
        return samples
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    noise *= np.sqrt(power * 10 ** (-snr_db / 10) / np.mean(noise**2))
    noisy: NDArray[np.float32] = (samples + noise).astype(np.float32)
    return noisy
