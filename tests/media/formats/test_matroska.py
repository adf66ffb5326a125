"""MKV and WebM: damaged elements and lost blocks are refused."""

import sys
from pathlib import Path

import numpy as np

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import examine
from dialogue_ser.media.decode import decode

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp, write


def test_every_flipped_bit_of_an_element_with_a_checksum_is_refused_or_changes_nothing(tmp_path):
    write(tmp_path / "a.mkv", chirp(1.0, 16000), 16000, "aac", with_video=True)
    whole = (tmp_path / "a.mkv").read_bytes()
    intact = decode(tmp_path / "a.mkv", sample_rate_hz=None).samples
    random, n_refused = np.random.default_rng(0), 0
    for at in random.integers(0, len(whole), 150):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        (tmp_path / "b.mkv").write_bytes(changed)
        try:
            np.testing.assert_array_equal(decode(tmp_path / "b.mkv", sample_rate_hz=None).samples, intact)
        except MediaError:
            n_refused += 1
    assert n_refused > 75


def test_blocks_that_the_decoder_leaves_out_are_counted(tmp_path):
    write(tmp_path / "a.webm", chirp(1.37, 48000), 48000, "libopus", options={"write_crc32": "0"})
    whole = bytearray((tmp_path / "a.webm").read_bytes())
    assert examine(tmp_path / "a.webm", is_span=False).least_packets == 69
    at = whole.rindex(b"\xa3", 0, len(whole) // 2)
    while whole[at + 2 : at + 4] != b"\x81\x01" and whole[at + 3 : at + 5] != b"\x81\x01":
        at = whole.rindex(b"\xa3", 0, at)
    n_refused = 0
    for offset in range(3, 12):  # the header of the block and of its packet
        changed = bytearray(whole)
        changed[at + offset] ^= 1
        (tmp_path / "b.webm").write_bytes(changed)
        try:
            n = len(decode(tmp_path / "b.webm", sample_rate_hz=None).samples)
            assert abs(n - 65760) <= 960, "a packet states how many frames it has"
        except MediaError:
            n_refused += 1
    assert n_refused


def test_a_live_stream_is_read(tmp_path):
    write(tmp_path / "a.mkv", chirp(1.0, 16000), 16000, "pcm_s16le", options={"live": "1"})
    assert len(decode(tmp_path / "a.mkv").samples) == 16000
