"""A FLAC file is decoded to the samples whose checksum it states, or refused."""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import decode
from dialogue_ser.media.formats.flac import read_flac_header, samples_md5

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp, write


def flac(path: Path, subtype: str = "PCM_16", channels: int = 1) -> bytearray:
    soundfile.write(path, chirp(1.0, 16000, channels), 16000, subtype=subtype)
    return bytearray(path.read_bytes())


def refused(path: Path, content: bytes, start: float | None = None) -> str:
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        decode(path, start)
    return str(caught.value)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_of_the_decoder_and_agree_with_their_checksum(tmp_path, subtype, channels):
    flac(tmp_path / "a.flac", subtype, channels)
    expected = soundfile.read(tmp_path / "a.flac", dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(decode(tmp_path / "a.flac").samples, expected)
    np.testing.assert_array_equal(decode(tmp_path / "a.flac", 0.25, 0.5).samples, expected[4000:8000])


def test_the_checksum_of_samples_with_12_bits_has_two_bytes_for_each(tmp_path):
    values = np.array([[-2048], [-1], [0], [2047]], np.int32)
    expected = hashlib.md5(values.astype("<i2").tobytes(), usedforsecurity=False).digest()
    assert samples_md5(values << 20, 12).digest() == expected


def test_a_header_that_asks_for_more_than_the_file_can_hold_is_refused_before_memory_is_reserved(tmp_path):
    whole = flac(tmp_path / "a.flac")
    whole[21] |= 1  # the highest of the 36 bits of the number of samples that are in the next bytes
    assert "bytes hold at most" in refused(tmp_path / "b.flac", whole)
    stream = io.BytesIO(whole[:21] + b"\xff" * 5 + whole[26:])
    with pytest.raises(Exception, match="the header states 687"):
        read_flac_header(stream, len(whole))


def test_a_wrong_number_of_samples_or_a_wrong_checksum_is_refused(tmp_path):
    whole = flac(tmp_path / "a.flac")
    for at in (25, 24, 30):  # 25 and 24: the number of samples; 30: the checksum
        changed = bytearray(whole)
        changed[at] ^= 1
        assert "flac: " in refused(tmp_path / "b.flac", changed)
        assert "flac: " in refused(tmp_path / "b.flac", changed, start=0.5)
    (tmp_path / "b.flac").write_bytes(whole)
    assert len(decode(tmp_path / "b.flac").samples) == 16000


def test_a_part_of_a_damaged_file_is_refused_although_the_part_is_intact(tmp_path):
    soundfile.write(tmp_path / "a.flac", chirp(4.0, 16000), 16000)
    whole = bytearray((tmp_path / "a.flac").read_bytes())
    whole[-2000] ^= 4
    (tmp_path / "b.flac").write_bytes(whole)
    with pytest.raises(MediaError, match=r"b\.flac: .*damaged"):
        decode(tmp_path / "b.flac", 0.1, 0.2)


def test_a_header_that_differs_from_the_first_frame_is_refused(tmp_path):
    whole = flac(tmp_path / "a.flac", channels=2)
    for at, bit, what in ((18, 4, "Hz"), (20, 1, "channels"), (20, 0, "bits")):
        changed = bytearray(whole)
        changed[at] ^= 1 << bit
        text = refused(tmp_path / "b.flac", changed)
        assert what in text
        assert "the first frame" in text


def test_a_stream_that_does_not_state_its_length_is_read_to_its_end(tmp_path):
    whole = flac(tmp_path / "a.flac")
    intact = decode(tmp_path / "a.flac").samples
    whole[21] &= 0xF0
    whole[22:42] = bytes(20)  # neither the number of samples nor the checksum
    (tmp_path / "b.flac").write_bytes(whole)
    np.testing.assert_array_equal(decode(tmp_path / "b.flac").samples, intact)
    np.testing.assert_array_equal(decode(tmp_path / "b.flac", 0.5, 0.75).samples, intact[8000:12000])


def test_a_damaged_frame_in_another_container_is_refused(tmp_path):
    write(tmp_path / "a.mkv", chirp(2.0, 16000), 16000, "flac", options={"write_crc32": "0"})
    whole = bytearray((tmp_path / "a.mkv").read_bytes())
    whole[len(whole) // 2] ^= 4
    (tmp_path / "a.mkv").write_bytes(whole)
    with pytest.raises(MediaError, match=r"a\.mkv: cannot be decoded"):
        decode(tmp_path / "a.mkv")
