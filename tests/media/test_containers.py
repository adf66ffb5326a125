"""Every container and codec returns as many samples as were written, and a span is that part of the whole."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import decode

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from sounds import chirp, write

# Codec, file, rate, and how many samples more may come out than were written. AAC and MP3 fill their last frame, and
# MP4 states the length in milliseconds. A format that states its length exactly must return exactly as many samples.
LOSSLESS = [
    ("alac", "a.m4a", 22050, 0),
    ("pcm_s16le", "a.mkv", 16000, 0),
    ("pcm_s16le", "a.mov", 44100, 0),
    ("pcm_s16le", "a.avi", 16000, 0),
    ("flac", "a.mkv", 48000, 0),
]
LOSSY = [
    ("aac", "a.mp4", 16000, 16),
    ("aac", "a.mp4", 44100, 44),
    ("aac", "a.m4a", 22050, 22),
    ("aac", "a.mkv", 16000, 1024),
    ("libmp3lame", "a.mp4", 44100, 44),
    ("libopus", "a.mkv", 48000, 0),
    ("libopus", "a.webm", 48000, 0),
]


@pytest.mark.parametrize("with_video", [False, True])
@pytest.mark.parametrize(("codec", "name", "rate", "surplus"), LOSSLESS + LOSSY)
def test_decoding_returns_as_many_samples_as_were_written(tmp_path, codec, name, rate, surplus, with_video):
    if with_video and name.endswith((".m4a", ".webm")):
        pytest.skip("this container holds only sound, or no MPEG-4 pictures")
    sound_NC = chirp(2.9173, rate)
    write(tmp_path / name, sound_NC, rate, codec, with_video=with_video)
    waveform = decode(tmp_path / name, sample_rate_hz=None)
    assert abs(len(waveform.samples) - len(sound_NC)) <= surplus
    if surplus == 0 and codec != "libopus":
        np.testing.assert_allclose(waveform.samples, sound_NC[:, 0], atol=2**-15)
    n = min(len(waveform.samples), len(sound_NC))
    assert np.corrcoef(waveform.samples[:n], sound_NC[:n, 0])[0, 1] > 0.98, "not shifted by the codec's delay"
    resampled = decode(tmp_path / name, sample_rate_hz=16000)
    assert len(resampled.samples) == pytest.approx(len(waveform.samples) * 16000 / rate, abs=0.5)


@pytest.mark.parametrize(("codec", "name", "rate", "_"), LOSSLESS + LOSSY)
@pytest.mark.parametrize(("start", "end"), [(None, 0.5), (0.1, 0.5), (1.5, 2.0), (2.6, None)])
def test_a_span_is_that_part_of_the_whole(tmp_path, codec, name, rate, _, start, end):
    # The sound has no noise. AAC only stores that there is noise, and after a jump its decoder makes different noise.
    write(tmp_path / name, chirp(2.9173, rate, noise=0.0), rate, codec)
    whole = decode(tmp_path / name, sample_rate_hz=None).samples
    part = decode(tmp_path / name, start, end, sample_rate_hz=None).samples
    first = round((start or 0) * rate)
    expected = whole[first : None if end is None else round(end * rate)]
    # Matroska keeps times in whole milliseconds, so after a jump a position is not known more exactly.
    allowed = rate // 1000 if codec == "libopus" and (start or 0) > 1 else 0
    assert abs(len(part) - len(expected)) <= allowed
    n = min(len(part), len(expected)) - allowed
    apart = [np.abs(part[:n] - whole[first + lag :][:n]).max() for lag in range(-allowed, allowed + 1)]
    assert min(apart) < 5e-3


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "tolerance"),
    [
        ("a.wav", "PCM_24", 11025, 0),
        ("a.flac", "PCM_16", 44100, 0),
        ("a.ogg", "VORBIS", 44100, 1e-6),
        ("a.mp3", "MPEG_LAYER_III", 44100, 1e-6),
        ("a.opus", "OPUS", 48000, 1e-6),
        ("a.opus", "OPUS", 16000, 5e-3),  # its mode for low rates needs many earlier frames
    ],
)
def test_spans_of_libsndfiles_formats_are_parts_of_the_whole_and_complete(tmp_path, name, subtype, rate, tolerance):
    sound_NC = chirp(3.1, rate)
    soundfile.write(tmp_path / name, sound_NC, rate, subtype=subtype, format="OGG" if "opus" in name else None)
    whole = decode(tmp_path / name, sample_rate_hz=None).samples
    assert len(whole) == len(sound_NC)
    for start in np.random.default_rng(0).uniform(0, 2.7, 12):
        part = decode(tmp_path / name, start, start + 0.3, sample_rate_hz=None).samples
        expected = whole[round(start * rate) :][: len(part)]
        assert len(part) == round((start + 0.3) * rate) - round(start * rate)
        np.testing.assert_allclose(part, expected, atol=tolerance)


def test_a_span_of_an_mp3_that_needs_earlier_frames_is_exact(tmp_path):
    # At this rate a frame needs data from earlier frames. Without a lead-in the first samples were wrong.
    write(tmp_path / "a.mp3", chirp(3.0, 16000), 16000, "libmp3lame")
    whole = decode(tmp_path / "a.mp3").samples
    assert len(whole) == 48000
    for start in np.random.default_rng(0).uniform(0.2, 2.7, 25):
        first = round(start * 16000)
        part = decode(tmp_path / "a.mp3", first / 16000, (first + 3200) / 16000).samples
        np.testing.assert_allclose(part, whole[first : first + 3200], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mp4", "aac"), ("a.wav", "")])
def test_any_number_of_channels_becomes_their_mean(tmp_path, channels, name, codec):
    sound_NC = chirp(1.0, 16000, channels)
    if codec:
        write(tmp_path / name, sound_NC, 16000, codec, with_video=True)
    else:
        soundfile.write(tmp_path / name, sound_NC, 16000, subtype="FLOAT")
    waveform = decode(tmp_path / name)
    assert waveform.file_channels == channels
    if codec != "aac":
        np.testing.assert_allclose(waveform.samples, sound_NC.mean(1), atol=2**-14)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("n", [1, 7, 999, 12345])
def test_the_resampler_returns_all_samples_at_any_rate(tmp_path, rate, n):
    soundfile.write(tmp_path / "a.wav", chirp(2.0, rate)[:n], rate)
    if n * 16000 / rate < 0.5:
        with pytest.raises(MediaError, match="too few to resample"):
            decode(tmp_path / "a.wav")
        return
    assert len(decode(tmp_path / "a.wav").samples) == pytest.approx(n * 16000 / rate, abs=0.5)


def test_a_tone_keeps_its_phase_and_level_through_the_resampler(tmp_path):
    t = np.arange(48000) / 48000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 48000, subtype="FLOAT")
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(decode(tmp_path / "a.wav").samples[200:-200], expected[200:-200], atol=1e-4)


def test_a_raw_stream_without_a_length_is_decoded_to_its_end(tmp_path):
    write(tmp_path / "a.aac", chirp(1.0, 16000), 16000, "aac")
    # A raw stream does not state how much of it is the delay of the codec.
    assert 16000 <= len(decode(tmp_path / "a.aac").samples) <= 16000 + 2 * 1024


@pytest.mark.parametrize("name", ["take:1.mp4", "data:x.mp4", "concat:a|b.mp4", "ümläut 😀 %d.mp4"])
def test_a_file_with_any_name_is_read_as_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(Path("a.mp4"), chirp(1.0, 16000), 16000, "aac")
    Path("a.mp4").rename(name)
    assert len(decode(name).samples) == 16000


@pytest.mark.parametrize("name", ["a.m3u8", "a.ffconcat", "a.wav"])
def test_a_list_of_other_files_is_refused(tmp_path, name):
    write(tmp_path / "private.ts", chirp(1.0, 16000), 16000, "aac", with_video=True)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nprivate.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(playlist if name == "a.m3u8" else "ffconcat version 1.0\nfile private.ts\n")
    with pytest.raises(MediaError, match=rf"{name}: is a list of other files \((hls|concat)"):
        decode(tmp_path / name)


def test_sound_whose_channels_change_is_refused_and_the_error_names_the_place(tmp_path):
    for kind, text in (
        ("aac", r"damaged AAC: at byte \d+, after 45 frames, .* several recordings"),
        ("ts", r"changes at 1\.0\d\d s from 44100 Hz and 2 channel\(s\) to 44100 Hz and 1"),
    ):
        for name, channels in (("a", 2), ("b", 1)):
            write(tmp_path / f"{name}.{kind}", chirp(1.0, 44100, channels), 44100, "aac")
        parts = [(tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b")]
        (tmp_path / f"both.{kind}").write_bytes(b"".join(parts))
        with pytest.raises(MediaError, match=rf"both\.{kind}: {text}"):
            decode(tmp_path / f"both.{kind}")


def test_sound_without_a_decoder_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(0.1, 16000), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[20:22] = b"\x34\x12"  # the codec's number
    content[34:36] = b"\0\0"  # its samples have no fixed number of bits
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.wav: FFmpeg has no decoder"):
        decode(tmp_path / "a.wav")
