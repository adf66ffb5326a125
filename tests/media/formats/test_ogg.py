"""An Ogg file is decoded completely or refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import decode
from dialogue_ser.media.formats.ogg import ogg_checksum

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp, write


def ogg(path: Path, subtype: str = "VORBIS", seconds: float = 1.0) -> bytes:
    soundfile.write(path, chirp(seconds, 16000), 16000, format="OGG", subtype=subtype)
    return path.read_bytes()


def pages(content: bytes) -> list[bytes]:
    starts = [at for at in range(len(content)) if content.startswith(b"OggS\0", at)]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        decode(path)
    return str(caught.value)


def test_the_checksum_is_that_of_the_standard(tmp_path):
    assert ogg_checksum(b"123456789") == 0x89A1897F  # CRC-32 with polynomial 04C11DB7, begun with 0, not reflected
    page = pages(ogg(tmp_path / "a.ogg"))[0]
    assert ogg_checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_every_flipped_bit_is_refused(tmp_path, subtype):
    whole = ogg(tmp_path / "a.ogg", subtype)
    random = np.random.default_rng(0)
    for at in [*range(0, 200, 3), *random.integers(200, len(whole), 100)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        assert "b.ogg: " in refused(tmp_path / "b.ogg", bytes(changed))


def test_lost_pages_are_refused_wherever_they_were(tmp_path):
    parts = pages(ogg(tmp_path / "a.ogg", seconds=4.0))
    assert len(parts) > 4
    for lost in range(1, len(parts)):
        kind = "truncated" if lost == len(parts) - 1 else "pages are missing"
        assert kind in refused(tmp_path / "b.ogg", b"".join(parts[:lost] + parts[lost + 1 :]))
    assert "the mark of the end" in refused(tmp_path / "b.ogg", b"".join(parts[:-1]))
    swapped = [*parts[:-2], parts[-1], parts[-2]]
    assert "pages are missing" in refused(tmp_path / "b.ogg", b"".join(swapped))


def test_two_recordings_in_one_file_are_refused(tmp_path):
    # libsndfile would decode the first one only.
    whole = ogg(tmp_path / "a.ogg")
    assert "several recordings" in refused(tmp_path / "b.ogg", whole + ogg(tmp_path / "c.ogg", seconds=2.0))


def test_other_bytes_behind_the_last_page_are_no_damage(tmp_path):
    whole = ogg(tmp_path / "a.ogg")
    (tmp_path / "b.ogg").write_bytes(whole + b"TAG" + bytes(125))
    assert len(decode(tmp_path / "b.ogg").samples) == 16000


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.ogg", "libopus", 48000), ("a.oga", "flac", 16000)])
def test_pages_that_ffmpeg_writes_are_accepted(tmp_path, name, codec, rate):
    write(tmp_path / name, chirp(1.0, rate), rate, codec)
    assert len(decode(tmp_path / name, sample_rate_hz=None).samples) == rate
