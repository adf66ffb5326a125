import subprocess
import sys

import numpy as np
import pytest

from dialogue_ser.errors import MediaError
from dialogue_ser.media.effects import Effects, apply_effects

RATE = 16000


def tone(seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * RATE))
    return float(spectrum.argmax()) / 8


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0, 40.0])
def test_noise_has_exactly_the_stated_ratio_to_the_signal(snr_db):
    samples = tone()
    noise = apply_effects(samples, RATE, Effects(noise_snr_db=snr_db, noise_seed=3)) - samples
    found = 10 * np.log10(np.mean(samples.astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    assert found == pytest.approx(snr_db, abs=1e-3)
    flat = np.abs(np.fft.rfft(noise)) ** 2
    assert flat[:4000].mean() / flat[4000:].mean() == pytest.approx(1, abs=0.1), (
        "white noise has as much power below 4 kHz as above"
    )


@pytest.mark.parametrize("semitones", [-3.0, 2.0, 5.0])
def test_pitch_moves_by_semitones_and_the_length_stays(semitones):
    changed = apply_effects(tone(), RATE, Effects(pitch_semitones=semitones))
    assert len(changed) == RATE
    assert peak_hertz(changed[2000:-2000]) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize("stretch", [0.8, 1.25])
def test_stretch_changes_the_length_and_not_the_pitch(stretch):
    changed = apply_effects(tone(), RATE, Effects(stretch=stretch))
    assert len(changed) == round(RATE / stretch)
    assert peak_hertz(changed[2000:-2000]) == pytest.approx(440, rel=0.01)


def test_shift_moves_the_sound_and_fills_with_silence_but_keeps_three_quarters():
    samples = np.arange(1, 17, dtype=np.float32)
    later, earlier = (apply_effects(samples, 4, Effects(shift_seconds=s)) for s in (0.5, -0.5))
    assert later.tolist() == [0, 0, *range(1, 15)]
    assert earlier.tolist() == [*range(3, 17), 0, 0]
    assert apply_effects(samples, 4, Effects(shift_seconds=9)).tolist() == [0] * 4 + list(range(1, 13))


def test_effects_are_seeded_leave_their_input_alone_and_do_nothing_by_default():
    samples = tone(0.3)
    before = samples.copy()
    effects = Effects(stretch=1.1, pitch_semitones=1.0, shift_seconds=0.05, noise_snr_db=10.0, noise_seed=7)
    first, second = (apply_effects(samples, RATE, effects) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(samples, before)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(apply_effects(samples, RATE, Effects()), samples)
    other = apply_effects(samples, RATE, Effects(noise_snr_db=10.0, noise_seed=8))
    assert not np.array_equal(other, apply_effects(samples, RATE, Effects(noise_snr_db=10.0, noise_seed=7)))


@pytest.mark.parametrize("n", [64, 100, 1000, 2047, 5000])
def test_short_clips_and_silence_stay_finite(n):
    effects = Effects(stretch=1.2, pitch_semitones=-2.0, shift_seconds=0.01, noise_snr_db=5.0)
    for samples in (tone()[:n], np.zeros(n, np.float32)):
        changed = apply_effects(samples, RATE, effects)
        assert len(changed) == round(n / 1.2)
        assert np.isfinite(changed).all()
    assert not changed.any(), "silence gets no noise"


def test_too_few_samples_to_stretch_are_refused():
    with pytest.raises(MediaError, match="63 samples are too few"):
        apply_effects(tone()[:63], RATE, Effects(stretch=1.1))


def test_effects_need_no_torch_and_load_librosa_only_when_used():
    code = (
        "import sys, numpy as np; from dialogue_ser.media.effects import Effects, apply_effects\n"
        "assert 'librosa' not in sys.modules\n"
        "apply_effects(np.ones(4000, np.float32), 16000, Effects(pitch_semitones=1.0))\n"
        "assert 'librosa' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
