"""MP3 and raw AAC: the frames follow each other without a gap, or the file is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import examine
from dialogue_ser.media.decode import decode

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp, write

ID3 = b"ID3\4\0\0\0\0\0\x0aTSSE\0\0\0\0\0\0"
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)


@pytest.fixture
def lame(tmp_path) -> bytearray:
    soundfile.write(tmp_path / "a.mp3", chirp(2.0, 44100, 2), 44100, format="MP3")
    return bytearray((tmp_path / "a.mp3").read_bytes())


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        decode(path)
    return str(caught.value)


@pytest.mark.parametrize(("before", "behind"), [(b"", b""), (ID3, b""), (b"", b"TAG" + b"\1" * 125), (ID3, APE)])
def test_tags_and_empty_bytes_around_the_frames_are_no_damage(tmp_path, lame, before, behind):
    expected = decode(tmp_path / "a.mp3").samples
    for more in (b"", bytes(500)):
        (tmp_path / "b.mp3").write_bytes(before + lame + more + behind)
        np.testing.assert_array_equal(decode(tmp_path / "b.mp3").samples, expected)


def test_damaged_headers_of_frames_are_refused(tmp_path, lame):
    second = lame.index(lame[:2], 4)
    for at in (second, second + 1, second + 2):
        for bit in (4, 6, 7):
            changed = bytearray(lame)
            changed[at] ^= 1 << bit
            assert "b.mp3: damaged MP3: at byte" in refused(tmp_path / "b.mp3", changed)


def test_a_lost_first_frame_a_cut_and_lost_bytes_are_refused(tmp_path, lame):
    assert "does not begin" in refused(tmp_path / "b.mp3", lame[1000:])
    assert "truncated MP3: at byte" in refused(tmp_path / "b.mp3", lame[:-100])
    assert "damaged MP3: at byte" in refused(tmp_path / "b.mp3", lame[:5000] + lame[5100:])


def test_the_table_of_the_first_frame_has_a_checksum_and_a_name(tmp_path, lame):
    at = lame.index(b"Xing") if b"Xing" in lame else lame.index(b"Info")
    for place, kind in ((at + 1, "has no name"), (at + 7, "checksum"), (at + 11, "checksum"), (at + 142, "checksum")):
        changed = bytearray(lame)
        changed[place] ^= 1
        assert kind in refused(tmp_path / "b.mp3", changed)


def test_a_damaged_frame_is_noticed_by_the_checksum_of_all_frames(tmp_path, lame):
    write(tmp_path / "f.mp3", chirp(2.0, 16000), 16000, "libmp3lame")
    for whole in (lame, bytearray((tmp_path / "f.mp3").read_bytes())):
        for at in (700, len(whole) // 2 + 50, len(whole) - 100):
            changed = bytearray(whole)
            changed[at] ^= 8
            assert "damaged MP3" in refused(tmp_path / "b.mp3", changed)


def test_missing_frames_are_noticed_by_their_number(tmp_path):
    write(tmp_path / "a.mp3", chirp(2.0, 44100, 2), 44100, "libmp3lame", options={"id3v2_version": "0"})
    whole = (tmp_path / "a.mp3").read_bytes()
    frames = examine(tmp_path / "a.mp3", is_span=False).frames
    assert frames is not None
    assert frames.has_table
    starts = [at for at in range(len(whole)) if whole[at : at + 2] == whole[:2] and whole[at + 2] & 0xFC == 0x90]
    text = refused(tmp_path / "b.mp3", whole[: starts[-3]])
    assert "truncated MP3: the header states" in text


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (16000, 1), (24000, 1), (48000, 2)])
def test_an_mp3_without_a_table_is_read_completely(tmp_path, rate, channels):
    options = {"write_xing": "0"}
    write(tmp_path / "a.mp3", chirp(2.3, rate, channels), rate, "libmp3lame", options=options)
    frames = examine(tmp_path / "a.mp3", is_span=False).frames
    assert frames is not None
    whole = decode(tmp_path / "a.mp3", sample_rate_hz=None).samples
    assert len(whole) == frames.n_samples
    part = decode(tmp_path / "a.mp3", 1.5, 1.75, sample_rate_hz=None).samples
    np.testing.assert_allclose(part, whole[round(1.5 * rate) :][: len(part)], atol=1e-5)


def test_mp3_in_a_wav_is_read_completely(tmp_path):
    write(tmp_path / "a.wav", chirp(2.3, 16000), 16000, "libmp3lame")
    assert decode(tmp_path / "a.wav").duration_seconds == pytest.approx(2.3, abs=0.1)


def test_raw_aac_with_lost_bytes_is_refused(tmp_path):
    write(tmp_path / "a.aac", chirp(1.0, 16000), 16000, "aac")
    whole = (tmp_path / "a.aac").read_bytes()
    assert "truncated AAC" in refused(tmp_path / "b.aac", whole[:-10])
    assert "damaged AAC" in refused(tmp_path / "b.aac", whole[:3000] + whole[3010:])
    assert "does not begin" in refused(tmp_path / "b.aac", whole[5:])
