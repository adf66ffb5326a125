"""Change a waveform without changing its emotion: stretch, pitch, shift, noise. This augments training data."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError
from dialogue_ser.versions import installed_version

#: Increase this number when the same effects give different samples. Features in a store are then computed again.
EFFECTS_REVISION = 1
_MIN_SAMPLES = 64
_N_FFT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The changes of one waveform, applied in this order. The defaults change nothing.

    Args:
        stretch: factor by which the sound becomes faster, at the same pitch: with 1.25, 5 s become 4 s.
        pitch_semitones: number of semitones by which the pitch rises, at the same tempo.
        shift_seconds: time by which the sound begins later. Silence comes before it, and the same time is lost at the
            end. A negative number moves the sound earlier. The shift is at most a quarter of the clip.
        noise_snr_db: the power of white Gaussian noise is this many dB below the mean power of the sound; None = no
            noise. Silence gets no noise.
        noise_seed: seed of the noise.
    """

    stretch: float = 1.0
    pitch_semitones: float = 0.0
    shift_seconds: float = 0.0
    noise_snr_db: float | None = None
    noise_seed: int = 0


def describe_effects(effects: Effects) -> dict[str, Any]:
    """Return all that decides the changed samples, as a JSON value. It is part of the key in the feature store.

    >>> describe_effects(Effects(stretch=1.1))["stretch"]
    1.1
    """
    return {**asdict(effects), "revision": EFFECTS_REVISION, "librosa": installed_version("librosa")}


def apply_effects(samples: NDArray[np.float32], sample_rate_hz: int, effects: Effects) -> NDArray[np.float32]:
    """Return the changed waveform as float32. Every call gives the same result. Peaks may exceed ±1.

    Args:
        samples: (n,), finite.
        sample_rate_hz: sample rate of the samples.
        effects: the changes to make.

    Raises:
        MediaError: there are too few samples to stretch them or to change their pitch.

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
    import librosa  # imported here because it loads slowly, and only augmentation needs it

    if len(samples) < _MIN_SAMPLES:
        raise MediaError(
            f"{len(samples)} samples are too few to stretch or to change in pitch; mask the clip or leave it out"
        )
    # librosa warns if the FFT is longer than the clip.
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
