"""What decode returns, and what it refuses."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import decode
from dialogue_ser.media.hashing import content_hash

RATE = 16000


def tone(seconds: float = 1.0, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_video(path: Path, sound: np.ndarray | None, rate: int = RATE) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = None if sound is None else container.add_stream("aac", rate=rate, layout="mono")
        for index in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index * 10, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 10)
            for packet in video.encode(picture):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
        if audio is not None:
            for start in range(0, len(sound), 1024):
                frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = rate, start
                for packet in audio.encode(frame):
                    container.mux(packet)
            for packet in audio.encode():
                container.mux(packet)


def test_wav_samples_come_back_exactly(tmp_path):
    sound = tone()
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    waveform = decode(tmp_path / "a.wav")
    np.testing.assert_array_equal(waveform.samples, sound)
    assert (waveform.samples.dtype, waveform.sample_rate_hz, waveform.duration_seconds) == (np.float32, RATE, 1.0)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", "MPEG_LAYER_III")]
)
def test_compressed_formats_decode_to_the_same_tone(tmp_path, name, subtype):
    container = {"opus": "OGG"}.get(name.split(".")[1])
    soundfile.write(tmp_path / name, tone(), RATE, subtype=subtype, format=container)
    waveform = decode(tmp_path / name)
    spectrum = np.abs(np.fft.rfft(waveform.samples[:RATE]))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert waveform.duration_seconds == pytest.approx(1.0, abs=0.1)


def test_stereo_is_averaged_and_the_rate_converted(tmp_path):
    left = tone(rate=44100)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), 44100, subtype="FLOAT")
    waveform = decode(tmp_path / "a.wav", sample_rate_hz=16000)
    assert len(waveform.samples) == 16000
    assert (waveform.file_sample_rate_hz, waveform.file_channels) == (44100, 2)
    np.testing.assert_allclose(waveform.samples[2000:14000], tone()[2000:14000] / 2, atol=1e-3)


def test_without_a_sample_rate_the_rate_of_the_file_is_kept(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(rate=8000), 8000)
    assert decode(tmp_path / "a.wav", sample_rate_hz=None).sample_rate_hz == 8000


def test_a_span_is_exactly_that_part_of_the_file(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    part = decode(tmp_path / "a.wav", 1.25, 2.5)
    np.testing.assert_array_equal(part.samples, sound[20000:40000])
    open_end = decode(tmp_path / "a.wav", 2.5)
    np.testing.assert_array_equal(open_end.samples, sound[40000:])


def test_a_span_may_end_a_rounding_error_after_the_file_but_not_more(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    assert len(decode(tmp_path / "a.wav", 0.5, 1.05).samples) == 8000
    with pytest.raises(MediaError, match=r"a\.wav: span 0\.5–1\.5 s lies beyond the end of the recording \(1\.000 s\)"):
        decode(tmp_path / "a.wav", 0.5, 1.5)
    with pytest.raises(MediaError, match="beyond the end"):
        decode(tmp_path / "a.wav", 1.0)


BAD_SPANS = [
    (0.5, 0.5),
    (0.6, 0.5),
    (-1.0, 0.5),
    (float("nan"), 1.0),
    (0.0, float("nan")),
    (0.0, float("inf")),
    (1e300,),
]


@pytest.mark.parametrize("span", BAD_SPANS)
def test_empty_or_impossible_spans_are_refused(tmp_path, span):
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    write_video(tmp_path / "a.mp4", tone())
    for name in ("a.wav", "a.mp4"):
        with pytest.raises(MediaError, match=rf"{name}: span"):
            decode(tmp_path / name, *span)


@pytest.mark.parametrize("kept_bytes", [20, 44, 45, 10_000, 32_043])
def test_truncated_wav_is_refused_and_the_error_names_both_sizes(tmp_path, kept_bytes):
    soundfile.write(tmp_path / "a.wav", tone(), RATE, subtype="PCM_16")
    whole = (tmp_path / "a.wav").read_bytes()
    assert len(whole) == 32_044
    (tmp_path / "a.wav").write_bytes(whole[:kept_bytes])
    with pytest.raises(MediaError, match=r"a\.wav: truncated WAV: .*\d+"):
        decode(tmp_path / "a.wav")


def test_wav_of_unknown_length_from_a_pipe_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), RATE, subtype="PCM_16")
    whole = bytearray((tmp_path / "a.wav").read_bytes())
    whole[4:8] = whole[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(whole)
    assert len(decode(tmp_path / "a.wav").samples) == RATE


def test_truncated_flac_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.5, 0.5, RATE), RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"a\.flac"):
        decode(tmp_path / "a.flac")


def test_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(MediaError, match="holds no samples"):
        decode(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused_and_the_error_names_the_time(tmp_path, bad):
    sound = tone()
    sound[8000] = bad
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"1 samples are NaN, infinite or far too large, the first at 0\.500 s"):
        decode(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [1e30, 3e38, -3e38])
def test_samples_that_are_too_large_for_sound_are_refused(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.full((100, 2), value, dtype=np.float32), RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"200 samples are .* far too large"):
        decode(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", np.full((100, 2), 32767.0, dtype=np.float32), RATE, subtype="FLOAT")
    assert decode(tmp_path / "a.wav").samples.max() == 32767.0  # 16-bit values as floats are common


def test_missing_empty_and_directory_paths_are_refused(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.wav: no such file"):
        decode(tmp_path / "nowhere.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(MediaError, match=r"empty\.wav: is empty"):
        decode(tmp_path / "empty.wav")
    with pytest.raises(MediaError, match="is not a file"):
        decode(tmp_path)


def test_text_with_an_audio_name_is_refused(tmp_path):
    (tmp_path / "a.mp3").write_text("this is not sound " * 50)
    with pytest.raises(MediaError, match=r"a\.mp3: cannot be decoded"):
        decode(tmp_path / "a.mp3")


def test_the_sound_of_a_video_is_decoded_completely_and_by_span(tmp_path):
    sound = np.concatenate([tone(1.5, hertz=300), tone(1.5, hertz=900)])
    write_video(tmp_path / "a.mp4", sound)
    whole = decode(tmp_path / "a.mp4")
    assert whole.duration_seconds == pytest.approx(3.0, abs=0.15)
    late = decode(tmp_path / "a.mp4", 2.0, 2.5)
    assert late.duration_seconds == pytest.approx(0.5, abs=1e-3)
    assert int(np.abs(np.fft.rfft(late.samples)).argmax()) * 2 == 900
    with pytest.raises(MediaError, match="beyond the end"):
        decode(tmp_path / "a.mp4", 2.0, 9.0)


def test_video_without_sound_is_refused(tmp_path):
    write_video(tmp_path / "a.mp4", None)
    with pytest.raises(MediaError, match=r"a\.mp4: has no sound \(found: video\)"):
        decode(tmp_path / "a.mp4")


def test_truncated_video_is_refused(tmp_path):
    write_video(tmp_path / "a.mp4", tone(3.0))
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"a\.mp4: truncated MP4: box .* states"):
        decode(tmp_path / "a.mp4")


def test_silence_is_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    assert not decode(tmp_path / "a.wav").samples.any()


def test_the_content_hash_depends_on_the_bytes_and_not_on_the_name(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    assert content_hash(tmp_path / "a.wav") == content_hash(tmp_path / "b.wav")
    (tmp_path / "b.wav").write_bytes(b"abc")
    assert content_hash(tmp_path / "b.wav") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(MediaError, match="cannot be read"):
        content_hash(tmp_path / "nowhere.wav")


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "endless.wav").symlink_to("/dev/zero")
    for name in ("pipe.wav", "endless.wav"):
        with pytest.raises(MediaError, match=f"{name}: is not a file"):
            decode(tmp_path / name)
        with pytest.raises(MediaError, match=f"{name}: is not a file"):
            content_hash(tmp_path / name)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(MediaError, match="cannot be read"):
        decode(tmp_path / ("x" * 300 + ".wav"))


def test_a_file_that_may_not_be_read_is_named_and_can_be_masked(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(100, dtype=np.float32), 16000)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("dialogue_ser.media.decode.examine", refuse)
    with pytest.raises(MediaError, match=r"a\.wav: cannot be read \(Permission denied\).*--data\.on_bad mask"):
        decode(tmp_path / "a.wav")
