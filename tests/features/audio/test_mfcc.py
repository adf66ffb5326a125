import math

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.mfcc import MfccSettings, htk_filters, mfcc39


def speechlike(n: int, seed: int = 0) -> np.ndarray:
    """Harmonics with a slow rise and fall, and noise."""
    t = np.arange(n) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * t * (1 + 0.05 * t)) / k for k in range(1, 15))
    noise = np.random.default_rng(seed).standard_normal(n)
    return ((0.1 * voice * (1.2 + np.sin(2 * np.pi * 3 * t)) + 0.01 * noise) / 2).astype(np.float32)


def by_the_formulas(samples: np.ndarray) -> np.ndarray:
    """E1 in plain loops, written from the formulas of the HTK book (5.2–5.9), without the normalisation."""
    rate, length, hop, n_fft, n_bands = 16000, 1600, 800, 2048, 26
    signal = [float(s) * 32768 for s in samples]

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    centres = [mel(8000) * m / (n_bands + 1) for m in range(n_bands + 2)]
    angle = -2 * np.pi / n_fft * np.outer(np.arange(n_fft // 2 + 1), np.arange(length))
    fourier = np.cos(angle) + 1j * np.sin(angle)
    static = []
    for start in range(0, len(signal) - length + 1, hop):
        frame = signal[start : start + length]
        window = [0.54 - 0.46 * math.cos(2 * math.pi * i / (length - 1)) for i in range(length)]
        magnitude = np.abs(fourier @ np.array([s * w for s, w in zip(frame, window, strict=True)]))
        logs = []
        for m in range(1, n_bands + 1):
            total = 0.0
            for k, value in enumerate(magnitude):
                place = mel(k * rate / n_fft)
                if centres[m - 1] < place <= centres[m]:
                    total += value * (place - centres[m - 1]) / (centres[m] - centres[m - 1])
                elif centres[m] < place < centres[m + 1]:
                    total += value * (centres[m + 1] - place) / (centres[m + 1] - centres[m])
            logs.append(math.log(max(total, 1.0)))
        row = [math.log(max(sum(s * s for s in frame), 1.0))]
        for i in range(1, 13):
            c = sum(logs[j - 1] * math.cos(math.pi * i / n_bands * (j - 0.5)) for j in range(1, n_bands + 1))
            row.append(math.sqrt(2 / n_bands) * c * (1 + 22 / 2 * math.sin(math.pi * i / 22)))
        static.append(row)

    def deltas(rows: list[list[float]]) -> list[list[float]]:
        last = len(rows) - 1
        return [
            [
                sum(k * (rows[min(t + k, last)][d] - rows[max(t - k, 0)][d]) for k in (1, 2)) / 10
                for d in range(len(rows[0]))
            ]
            for t in range(len(rows))
        ]

    first = deltas(static)
    return np.array([a + b + c for a, b, c in zip(static, first, deltas(first), strict=True)])


def test_frames_equal_the_formulas_written_out_in_loops() -> None:
    samples = speechlike(9000)
    expected = by_the_formulas(samples)
    raw = MfccSettings(mean_normalise=False).frames(samples)
    assert raw.shape == (10, 39) == expected.shape
    np.testing.assert_allclose(raw, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(MfccSettings().frames(samples), expected - expected.mean(0), rtol=1e-6, atol=1e-6)


OPENSMILE = r"""
[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory
\{\cm[source{?}:include external source]}
[componentInstances:cComponentManager]
instance[fr].type=cFramer
instance[win].type=cWindower
instance[fft].type=cTransformFFT
instance[mag].type=cFFTmagphase
instance[mspec].type=cMelspec
instance[mfcc].type=cMfcc
instance[energy].type=cEnergy
instance[cat].type=cVectorConcat
instance[de].type=cDeltaRegression
instance[acc].type=cDeltaRegression
instance[all].type=cVectorConcat
[fr:cFramer]
reader.dmLevel=wave
writer.dmLevel=frames
frameSize=0.1
frameStep=0.05
frameMode=fixed
frameCenterSpecial=left
noPostEOIprocessing=1
[win:cWindower]
reader.dmLevel=frames
writer.dmLevel=winframes
winFunc=ham
[fft:cTransformFFT]
reader.dmLevel=winframes
writer.dmLevel=fft
zeroPadSymmetric=0
[mag:cFFTmagphase]
reader.dmLevel=fft
writer.dmLevel=mag
[mspec:cMelspec]
reader.dmLevel=mag
writer.dmLevel=mspec
htkcompatible=1
nBands=26
usePower=0
lofreq=0
hifreq=8000
specScale=mel
[mfcc:cMfcc]
reader.dmLevel=mspec
writer.dmLevel=mfcc
firstMfcc=1
lastMfcc=12
cepLifter=22.0
htkcompatible=1
[energy:cEnergy]
reader.dmLevel=frames
writer.dmLevel=energy
htkcompatible=1
rms=0
log=1
[cat:cVectorConcat]
reader.dmLevel=energy;mfcc
writer.dmLevel=static
includeSingleElementFields=1
[de:cDeltaRegression]
reader.dmLevel=static
writer.dmLevel=delta
deltawin=2
[acc:cDeltaRegression]
reader.dmLevel=delta
writer.dmLevel=accel
deltawin=2
[all:cVectorConcat]
reader.dmLevel=static;delta;accel
writer.dmLevel=func
includeSingleElementFields=1
\{\cm[sink{?}:include external sink]}
"""


def test_frames_equal_opensmiles_htk_compatible_ones(tmp_path) -> None:
    import opensmile

    (tmp_path / "mfcc.conf").write_text(OPENSMILE)
    smile = opensmile.Smile(str(tmp_path / "mfcc.conf"), "func")
    samples = (np.round(speechlike(32000) * 32768) / 32768).astype(np.float32)
    theirs = smile.process_signal(samples, 16000).to_numpy()
    ours = MfccSettings(mean_normalise=False).frames(samples)
    assert ours.shape == theirs.shape == (39, 39)
    np.testing.assert_allclose(ours[:, :26], theirs[:, :26], rtol=1e-3, atol=2e-3)
    # ΔΔ of the last two frames: HTK repeats the last Δ, openSMILE has computed one frame more of it.
    np.testing.assert_allclose(ours[:-2, 26:], theirs[:-2, 26:], rtol=1e-3, atol=2e-3)


def test_filters_cover_the_band_evenly_with_peaks_of_1() -> None:
    filters = htk_filters(16000, 2048, 26)
    assert filters.shape == (26, 1025)
    inside = filters[:, 30:900].sum(0)  # between the outermost centres two triangles always add up to 1
    np.testing.assert_allclose(inside, 1, atol=1e-9)


@pytest.mark.parametrize("n", [1, 100, 1599, 1600, 2399, 2400])
def test_short_clips_give_whole_frames_and_finite_values(n) -> None:
    frames = MfccSettings().frames(speechlike(n))
    assert frames.shape == (2 if n >= 2400 else 1, 39)
    assert np.isfinite(frames).all()


def test_silence_and_full_scale_are_finite() -> None:
    assert not MfccSettings().frames(np.zeros(16000, np.float32)).any()
    square = np.sign(np.sin(np.arange(16000) * 0.1)).astype(np.float32)
    assert np.isfinite(MfccSettings().frames(square)).all()


def test_loudness_is_only_in_the_energy_and_normalised_away() -> None:
    samples = speechlike(16000)
    np.testing.assert_allclose(MfccSettings().frames(samples), MfccSettings().frames(samples / 2), atol=1e-6)
    loud = MfccSettings(mean_normalise=False)
    change = loud.frames(samples) - loud.frames(samples / 2)
    np.testing.assert_allclose(change[:, 0], 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(change[:, 1:], 0, atol=1e-6)


def test_settings_out_of_range_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        mfcc39(sample_rate_hz=100, hop_seconds=0.2, n_mels=12, lifter=0, frame_seconds=3.0)
    assert len(caught.value.problems) == 4 + (0.2 > 3.0)


def test_settings_are_part_of_the_fingerprint() -> None:
    base = mfcc39().fingerprint()
    assert base["settings"]["n_mels"] == 26
    assert set(base["versions"]) == {"decoder", "av", "soundfile", "soxr", "librosa", "numpy", "scipy"}
    assert mfcc39(lifter=21).fingerprint() != base
