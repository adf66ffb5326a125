"""A truncated or damaged file of any format is refused. It must not be decoded to fewer samples."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import FileFacts, examine
from dialogue_ser.media.damage import DamagedFileError
from dialogue_ser.media.decode import decode

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from sounds import chirp, write

FASTSTART = {"movflags": "faststart"}  # the index comes first, so a decoder could decode the part that is left


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize(
    ("name", "codec", "options", "kind"),
    [
        ("a.mp4", "aac", {}, "MP4"),
        ("a.mp4", "aac", FASTSTART, "MP4"),
        ("a.m4a", "aac", FASTSTART, "MP4"),
        ("a.mov", "pcm_s16le", FASTSTART, "MP4"),
        ("a.mkv", "aac", {}, "Matroska"),
        ("a.mkv", "pcm_s16le", {}, "Matroska"),
        ("a.webm", "libopus", {}, "Matroska"),
        ("a.avi", "pcm_s16le", {}, "AVI"),
    ],
)
def test_a_container_cut_off_anywhere_is_refused(tmp_path, name, codec, options, kind, share):
    rate = 48000 if codec == "libopus" else 16000
    write(tmp_path / name, chirp(3.0, rate), rate, codec, options=options, with_video=name in ("a.mp4", "a.mkv"))
    examine(tmp_path / name, is_span=False)
    cut(tmp_path / name, share)
    with pytest.raises(MediaError, match=rf"{name}: truncated {kind}: .* states \d+ bytes.*on_bad mask"):
        decode(tmp_path / name)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize(
    ("name", "subtype", "container"),
    [
        ("a.wav", "PCM_16", "WAV"),
        ("a.wav", "PCM_16", "RF64"),
        ("a.wav", "FLOAT", "WAVEX"),
        ("a.flac", "PCM_16", "FLAC"),
        ("a.ogg", "VORBIS", "OGG"),
        ("a.opus", "OPUS", "OGG"),
        ("a.mp3", "MPEG_LAYER_III", "MP3"),
        ("a.aiff", "PCM_16", "AIFF"),
        ("a.au", "PCM_16", "AU"),
        ("a.w64", "PCM_16", "W64"),
        ("a.caf", "PCM_16", "CAF"),
    ],
)
def test_a_sound_file_cut_off_anywhere_is_refused(tmp_path, name, subtype, container, share):
    soundfile.write(tmp_path / name, chirp(3.0, 16000), 16000, subtype=subtype, format=container)
    examine(tmp_path / name, is_span=False)
    cut(tmp_path / name, share)
    with pytest.raises(MediaError, match=rf"{name}: .*truncated.*on_bad mask"):
        decode(tmp_path / name)


def test_a_big_endian_wav_is_compared_with_its_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(1.0, 16000), 16000, endian="BIG", subtype="PCM_16")
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFX"
    assert len(decode(tmp_path / "a.wav").samples) == 16000
    cut(tmp_path / "a.wav", 0.5)
    with pytest.raises(MediaError, match=r"truncated WAV: .* 32000 bytes of samples"):
        decode(tmp_path / "a.wav")


def test_a_streamed_au_states_no_size_and_is_read(tmp_path):
    soundfile.write(tmp_path / "a.au", chirp(1.0, 16000), 16000, subtype="PCM_16")
    content = (tmp_path / "a.au").read_bytes()
    (tmp_path / "a.au").write_bytes(content[:8] + b"\xff" * 4 + content[12:])
    assert len(decode(tmp_path / "a.au").samples) == 16000


def test_a_streamed_matroska_file_states_no_size_and_is_read(tmp_path):
    write(tmp_path / "a.mkv", chirp(1.0, 16000), 16000, "pcm_s16le")
    content = (tmp_path / "a.mkv").read_bytes()
    at = content.index(b"\x18\x53\x80\x67") + 4
    (tmp_path / "a.mkv").write_bytes(content[:at] + b"\x01" + b"\xff" * 7 + content[at + 8 :])
    assert len(decode(tmp_path / "a.mkv").samples) == 16000


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"OggS", b"\x1a\x45\xdf\xa3", b"\0\0\0\0ftyp", b"FORM", b".snd", b"caff", b"plain text" * 9],
)
def test_very_short_and_unknown_files_are_no_error(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    try:
        assert examine(tmp_path / "a.bin", is_span=False) == FileFacts()
    except DamagedFileError as damage:
        assert re.match("truncated |damaged ", str(damage))  # noqa: PT017 (both outcomes are right)


FORMATS = [
    ("a.wav", "PCM_16", "WAV", 44),
    ("a.flac", "PCM_16", "FLAC", 0),
    ("a.ogg", "VORBIS", "OGG", 0),
    ("a.opus", "OPUS", "OGG", 0),
    ("a.mp3", "MPEG_LAYER_III", "MP3", 300),
    ("a.aiff", "PCM_16", "AIFF", 54),
]


@pytest.mark.parametrize(("name", "subtype", "container", "sound_at"), FORMATS)
def test_no_flipped_bit_changes_the_length_nor_any_sample_that_has_a_checksum(
    tmp_path, name, subtype, container, sound_at
):
    soundfile.write(tmp_path / name, chirp(0.5, 16000), 16000, subtype=subtype, format=container)
    whole, random = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    intact = decode(tmp_path / name, sample_rate_hz=None)
    texts = []
    for at in [*random.integers(0, 60, 60), *random.integers(0, len(whole), 60)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        (tmp_path / f"b{name}").write_bytes(changed)
        try:
            found = decode(tmp_path / f"b{name}", sample_rate_hz=None)
        except MediaError as error:
            texts.append(str(error))
            continue
        assert (len(found.samples), found.file_channels) == (len(intact.samples), 1)
        if not sound_at or at < sound_at:
            assert found.sample_rate_hz == 16000 or name == "a.aiff"  # an AIFF states its rate only once
            np.testing.assert_array_equal(found.samples, intact.samples)
    assert texts
    assert all("\n" not in text for text in texts)


def test_many_parts_of_one_file_are_checked_once_until_it_changes(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.ogg", chirp(3.0, 16000), 16000)
    read = []
    monkeypatch.setattr("dialogue_ser.media.checks.check_ogg", lambda file, size: read.append(size))
    for start in range(20):
        decode(tmp_path / "a.ogg", start / 10, start / 10 + 0.1)
    soundfile.write(tmp_path / "a.ogg", chirp(4.0, 16000), 16000)
    decode(tmp_path / "a.ogg", 0.1, 0.2)
    assert len(read) == 2


def test_headers_of_other_formats_that_contradict_the_file_are_refused(tmp_path):
    for name, places in (("a.aiff", (21, 25, 27, 49)), ("a.au", (7, 11, 23)), ("a.caf", (43, 51))):
        soundfile.write(tmp_path / name, chirp(0.5, 16000), 16000, subtype="PCM_16")
        whole = (tmp_path / name).read_bytes()
        for at in places:
            changed = bytearray(whole)
            changed[at] ^= 1
            (tmp_path / name).write_bytes(changed)
            with pytest.raises(MediaError, match=rf"{name}: "):
                decode(tmp_path / name)
