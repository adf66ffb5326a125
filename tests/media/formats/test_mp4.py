"""MP4, M4A and MOV: as much sound is decoded as the tables of the file promise, or the file is refused."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import Waveform, decode

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp, write


@pytest.fixture
def mp4(tmp_path) -> bytearray:
    write(tmp_path / "a.mp4", chirp(1.37, 16000), 16000, "aac", with_video=True)
    return bytearray((tmp_path / "a.mp4").read_bytes())


def decoded(path: Path, content: bytes) -> Waveform | str:
    path.write_bytes(content)
    try:
        return decode(path, sample_rate_hz=None)
    except MediaError as error:
        return str(error)


def refused(path: Path, content: bytes) -> str:
    found = decoded(path, content)
    assert isinstance(found, str)
    assert "\n" not in found
    return found


def test_brands_and_tags_that_are_no_text_change_nothing(tmp_path, mp4):
    intact = decode(tmp_path / "a.mp4", sample_rate_hz=None).samples
    mp4[26] = 0xFF  # a brand
    mp4[mp4.index(b"Lavf") + 1] = 0xFF  # the name of the program
    found = decoded(tmp_path / "b.mp4", mp4)
    assert isinstance(found, Waveform)
    np.testing.assert_array_equal(found.samples, intact)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.m4a", "alac"), ("a.mov", "pcm_s16le")])
def test_no_flipped_bit_of_the_index_changes_the_length_or_the_rate(tmp_path, name, codec):
    write(tmp_path / name, chirp(1.0, 16000), 16000, codec)
    whole = (tmp_path / name).read_bytes()
    intact = decode(tmp_path / name, sample_rate_hz=None)
    begin, random = whole.index(b"moov"), np.random.default_rng(1)
    n_refused = 0
    settings = range(whole.find(b"esds"), whole.find(b"btrt"))  # of AAC; they state the rate only once
    for at in sorted({*range(0, 40, 2), *range(begin, min(len(whole), begin + 700), 3)} - set(settings)):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        found = decoded(tmp_path / f"b{name}", changed)
        if isinstance(found, str):
            n_refused += 1
            continue
        # The end may be left out, because it is padding. For other sound the list is exact to milliseconds.
        assert abs(len(found.samples) - len(intact.samples)) <= (3 * 1024 if codec == "aac" else 3 * 16), at
        assert found.file_sample_rate_hz == 16000, at
    assert n_refused > 30


def entry(content: bytearray, box: bytes, at: int, value: int, size: str = ">I") -> bytearray:
    """Return the content with another number at a place of the last box of this type: sound follows pictures."""
    changed = bytearray(content)
    struct.pack_into(size, changed, changed.rindex(box) + 4 + at, value)
    return changed


@pytest.mark.parametrize(
    ("box", "at", "value", "text"),
    [
        (b"mdhd", 16, 99999, "according to another"),
        (b"mdhd", 12, 0, "0 units"),
        (b"stts", 8, 10, "times for"),
        (b"stsz", 8, 5, "sizes for 5"),
        (b"stsz", 12, 99999, "where other media lie, or none"),
        (b"stco", 8, 3, "where other media lie, or none"),
        (b"stsc", 4, 99999, "states 99999 rows"),
        (b"stsc", 8, 2, "which packets lie together"),
        (b"elst", 8, 100, "to be played"),
        (b"elst", 12, 9000, "to be played"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(tmp_path, mp4, box, at, value, text):
    assert text in refused(tmp_path / "b.mp4", entry(mp4, box, at, value))


@pytest.mark.parametrize("box", [b"moov", b"mdia", b"stbl", b"stts", b"hdlr", b"tkhd", b"edts", b"mvhd", b"soun"])
def test_a_box_whose_name_is_damaged_is_missed(tmp_path, mp4, box):
    mp4[mp4.rindex(box, 0, mp4.rindex(b"smhd") + 60) + 1] ^= 4
    assert "MP4" in refused(tmp_path / "b.mp4", mp4)


def test_a_file_that_does_not_begin_as_an_mp4_is_refused(tmp_path, mp4):
    mp4[4] ^= 1
    assert "does not begin" in refused(tmp_path / "b.mp4", mp4)


def test_boxes_in_boxes_without_end_are_read_in_bounded_depth(tmp_path):
    nested = b""
    for _ in range(5000):
        nested = struct.pack(">I", len(nested) + 8) + b"mdia" + nested
    trak = struct.pack(">I", len(nested) + 8) + b"trak" + nested
    mvhd = struct.pack(">I4sIIIII", 28, b"mvhd", 0, 0, 0, 1000, 0)
    moov = struct.pack(">I", len(trak) + len(mvhd) + 8) + b"moov" + mvhd + trak
    assert "a track has no box" in refused(tmp_path / "a.mp4", b"\0\0\0\x0cftypisom" + moov)


@pytest.mark.parametrize(
    "options",
    [
        {"movflags": "frag_keyframe+empty_moov"},
        {"movflags": "faststart"},
        {"use_editlist": "0"},
        {"movie_timescale": "90000"},
    ],
)
@pytest.mark.parametrize("with_video", [False, True])
def test_every_form_of_the_index_is_read(tmp_path, options, with_video):
    write(tmp_path / "a.mp4", chirp(2.3, 16000), 16000, "aac", options=options, with_video=with_video)
    assert decode(tmp_path / "a.mp4").duration_seconds == pytest.approx(2.3, abs=0.13)


@pytest.mark.parametrize(
    ("codec", "rate"), [("libopus", 48000), ("flac", 16000), ("ac3", 48000), ("libmp3lame", 44100)]
)
def test_every_codec_keeps_its_promise_within_a_frame(tmp_path, codec, rate):
    write(tmp_path / "a.mp4", chirp(2.3, rate), rate, codec)
    assert decode(tmp_path / "a.mp4").duration_seconds == pytest.approx(2.3, abs=0.05)
