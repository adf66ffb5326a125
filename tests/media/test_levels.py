"""Sound that can be decoded, but is not what was recorded, has a warning."""

import numpy as np
import soundfile

from dialogue_ser.media.decode import decode


def warnings_of(tmp_path, samples, subtype: str = "FLOAT") -> list[str]:
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype=subtype)
    return [warning.kind for warning in decode(tmp_path / "a.wav").warnings]


def tone(n: int = 8000) -> np.ndarray:
    return 0.5 * np.sin(0.2 * np.arange(n))


def test_whole_numbers_saved_as_floats_are_too_loud(tmp_path):
    assert warnings_of(tmp_path, tone() * 32768) == ["loud"]
    text = decode(tmp_path / "a.wav").warnings[0].text
    assert text.startswith(f"{tmp_path / 'a.wav'}: its peak is 16384, but full scale is 1")
    assert "divide" in text


def test_sound_a_little_above_full_scale_has_no_warning(tmp_path):
    assert warnings_of(tmp_path, tone() * 6) == []


def test_channels_that_cancel_each_other_have_a_warning(tmp_path):
    assert warnings_of(tmp_path, np.stack([tone(), -tone()], axis=1)) == ["cancelled"]
    assert "(their mean is silence)" in decode(tmp_path / "a.wav").warnings[0].text
    assert warnings_of(tmp_path, np.stack([tone(), -0.95 * tone()], axis=1), "PCM_16") == ["cancelled"]
    assert "32 dB below" in decode(tmp_path / "a.wav").warnings[0].text


def test_other_stereo_and_silence_have_no_warning(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (8000, 2))
    quiet = np.zeros_like(tone())
    for channels in (noise, np.stack([tone(), quiet], axis=1), np.stack([tone(), tone()], axis=1), np.zeros((99, 2))):
        assert warnings_of(tmp_path, channels) == []
