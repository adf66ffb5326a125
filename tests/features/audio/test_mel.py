import math

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.mel import logmel, logmel3, mel_delta


def sound(n: int, rate: int = 16000) -> np.ndarray:
    t = np.arange(n) / rate
    noise = np.random.default_rng(0).standard_normal(n)
    return (0.3 * np.sin(2 * np.pi * (300 + 400 * t) * t) + 0.05 * noise).astype(np.float32)


def slaney_mel(hertz: float) -> float:
    """Slaney's Auditory Toolbox: straight up to 1 kHz, then 27 steps for each factor 6.4."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def slaney_hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) * (mel - 15) / 27)


def by_the_formulas(samples: np.ndarray, rate: int, n_fft: int, length: int, hop: int, n_mels: int) -> np.ndarray:
    """dB of the mel power spectrum in plain loops: Hann window in the middle of a centred FFT, area-1 triangles."""
    top = slaney_mel(rate / 2)
    edges = [slaney_hertz(top * m / (n_mels + 1)) for m in range(n_mels + 2)]
    padded = [0.0] * (n_fft // 2) + [float(s) for s in samples] + [0.0] * (n_fft // 2)
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / length) for i in range(length)]
    before = (n_fft - length) // 2
    angle = -2 * np.pi / n_fft * np.outer(np.arange(n_fft // 2 + 1), np.arange(length) + before)
    fourier = np.cos(angle) + 1j * np.sin(angle)
    rows = []
    for start in range(0, len(samples) + 1, hop):
        frame = padded[start + before : start + before + length]
        power = np.abs(fourier @ np.array([s * w for s, w in zip(frame, window, strict=True)])) ** 2
        row = []
        for m in range(1, n_mels + 1):
            low, centre, high = edges[m - 1 : m + 2]
            total = 0.0
            for k, value in enumerate(power):
                hertz = k * rate / n_fft
                if low < hertz <= centre:
                    total += value * (hertz - low) / (centre - low)
                elif centre < hertz < high:
                    total += value * (high - hertz) / (high - centre)
            row.append(10 * math.log10(max(total * 2 / (high - low), 1e-10)))
        rows.append(row)
    return np.array(rows)


def derivative_of_fitted_polynomials(rows: np.ndarray, order: int) -> np.ndarray:
    """Δ (order 1) and ΔΔ (order 2): a polynomial of that degree through 9 frames; at the ends the outermost 9."""
    found = np.empty_like(rows)
    for t in range(len(rows)):
        first = min(max(t - 4, 0), len(rows) - 9)
        for d in range(rows.shape[1]):
            polynomial = np.polynomial.Polynomial.fit(np.arange(9) + first - t, rows[first : first + 9, d], order)
            found[t, d] = polynomial.deriv(order)(0)
    return found


def test_mel_delta_equals_the_formulas_written_out_in_loops() -> None:
    samples = sound(5003)
    frames = mel_delta().settings.frames(samples)
    expected = by_the_formulas(samples, 16000, 2048, 400, 400, 128)
    assert frames.shape == (1 + 5003 // 400, 3 * 128)
    np.testing.assert_allclose(frames[:, :128], expected, atol=2e-3)
    np.testing.assert_allclose(frames[:, 128:256], derivative_of_fitted_polynomials(expected, 1), atol=2e-3)
    np.testing.assert_allclose(frames[:, 256:], derivative_of_fitted_polynomials(expected, 2), atol=2e-3)


def test_logmel_equals_the_formulas_written_out_in_loops() -> None:
    samples = sound(4000, 22050)
    frames = logmel().settings.frames(samples)
    assert frames.shape == (8, 128)
    np.testing.assert_allclose(frames, by_the_formulas(samples, 22050, 2048, 2048, 512, 128), atol=2e-3)


def test_logmel3_is_logmel_in_its_first_channel_and_deltas_in_the_others() -> None:
    samples = sound(9000, 22050)
    image = logmel3().settings.frames(samples).reshape(-1, 3, 128)
    one = logmel().settings.frames(samples)
    np.testing.assert_array_equal(image[:, 0], one)
    np.testing.assert_allclose(image[:, 1], derivative_of_fitted_polynomials(one, 1), atol=2e-3)
    np.testing.assert_allclose(image[:, 2], derivative_of_fitted_polynomials(one, 2), atol=2e-3)


def test_a_tone_is_brightest_in_the_band_around_its_frequency() -> None:
    t = np.arange(16000) / 16000
    frames = mel_delta().settings.frames((0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32))
    band = int(frames[5:-5, :128].mean(0).argmax())
    edges = [slaney_hertz(slaney_mel(8000) * m / 129) for m in (band, band + 2)]
    assert edges[0] < 1000 < edges[1]


@pytest.mark.parametrize("make", [logmel, logmel3, mel_delta])
@pytest.mark.parametrize("n", [1, 30, 399, 400, 2047, 5000])
def test_short_clips_and_silence_are_finite(make, n) -> None:
    settings = make().settings
    for samples in (sound(n), np.zeros(n, np.float32)):
        frames = settings.frames(samples)
        assert frames.shape == (1 + n // settings.hop_samples, 384 if settings.with_deltas else 128)
        assert np.isfinite(frames).all()
    np.testing.assert_allclose(frames[:, :128], -100, atol=1e-4)
    np.testing.assert_allclose(frames[:, 128:], 0, atol=1e-4)  # but for rounding in float32


def test_settings_out_of_range_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        mel_delta(sample_rate_hz=1, frame_samples=4000, hop_samples=0, n_mels=0)
    assert len(caught.value.problems) == 4
    assert all(problem.startswith("mel-delta: ") for problem in caught.value.problems)
    with pytest.raises(ConfigError, match="bands contain no bin of an FFT of 256"):
        logmel(n_fft=256, frame_samples=256, hop_samples=64)


def test_settings_are_part_of_the_fingerprint() -> None:
    prints = [make().fingerprint() for make in (logmel, logmel3, mel_delta)]
    assert len({str(found) for found in prints}) == 3
    assert mel_delta(hop_samples=200).fingerprint() != mel_delta().fingerprint()
    assert "librosa" in prints[0]["versions"]
