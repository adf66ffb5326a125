"""WAV and W64: headers that contradict themselves are refused. Samples without a stated size are read to the end."""

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import MediaError
from dialogue_ser.media.decode import decode

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from sounds import chirp

N = 4000
LIST = b"LIST" + struct.pack("<I", 14) + b"INFOISFT" + struct.pack("<I", 2) + b"a\0"


def wav(path: Path, **options) -> bytearray:
    soundfile.write(path, chirp(N / 8000, 8000), 8000, **{"subtype": "PCM_16", **options})
    return bytearray(path.read_bytes())


def samples(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    waveform = decode(path, sample_rate_hz=None)
    assert waveform.sample_rate_hz == 8000
    return waveform.samples


@pytest.mark.parametrize("data_bytes", [0, 0x7FFFF000, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_bytes", [0, 36, 0x7FFFF024, 0xFFFFFFFF])
def test_samples_without_a_stated_size_reach_to_the_end_of_the_file(tmp_path, data_bytes, riff_bytes):
    whole = wav(tmp_path / "a.wav")
    intact = decode(tmp_path / "a.wav", sample_rate_hz=None).samples
    struct.pack_into("<I", whole, 4, riff_bytes)
    struct.pack_into("<I", whole, 40, data_bytes)
    np.testing.assert_array_equal(samples(tmp_path / "b.wav", whole), intact)
    part = decode(tmp_path / "b.wav", 0.1, 0.2, sample_rate_hz=None).samples
    np.testing.assert_array_equal(part, intact[800:1600])


def test_half_a_sample_at_the_end_of_a_killed_recording_is_left_out(tmp_path):
    whole = wav(tmp_path / "a.wav")
    struct.pack_into("<I", whole, 40, 0)
    assert len(samples(tmp_path / "b.wav", whole[:-1])) == N - 1


def test_a_size_that_no_program_states_for_a_pipe_is_a_truncated_file(tmp_path):
    whole = wav(tmp_path / "a.wav")
    for size in (0x7FFE0000, 0xFFFF0000, 3_000_000_000):
        struct.pack_into("<I", whole, 40, size)
        with pytest.raises(MediaError, match=f"truncated WAV: the header states {size} bytes of samples"):
            samples(tmp_path / "b.wav", whole)


def test_a_file_without_samples_but_with_other_chunks_is_still_empty(tmp_path):
    whole = wav(tmp_path / "a.wav")[:44] + LIST
    struct.pack_into("<I", whole, 40, 0)
    struct.pack_into("<I", whole, 4, len(whole) - 8)
    with pytest.raises(MediaError, match="holds no samples"):
        samples(tmp_path / "b.wav", whole)


def test_chunks_behind_the_samples_and_other_bytes_behind_the_file_are_no_samples(tmp_path):
    whole = wav(tmp_path / "a.wav")
    with_list = whole + LIST
    struct.pack_into("<I", with_list, 4, len(with_list) - 8)
    for content in (with_list, whole + b"TAG" + b"\1" * 125, with_list + b"\0" * 100):
        assert len(samples(tmp_path / "b.wav", content)) == N


def test_a_riff_size_that_counts_its_own_header_is_accepted(tmp_path):
    whole = wav(tmp_path / "a.wav")
    struct.pack_into("<I", whole, 4, len(whole))
    assert len(samples(tmp_path / "b.wav", whole)) == N


def test_samples_behind_the_stated_samples_are_refused(tmp_path):
    whole = wav(tmp_path / "a.wav")
    for size in (N * 2 - 64, N * 2 - 4096, 64):
        struct.pack_into("<I", whole, 40, size)
        with pytest.raises(MediaError, match=rf"damaged WAV: the header states {size} bytes of samples, but \d+ more"):
            samples(tmp_path / "b.wav", whole)


@pytest.mark.parametrize(
    ("subtype", "kind"), [("PCM_16", "WAV"), ("PCM_24", "WAVEX"), ("FLOAT", "WAV"), ("ULAW", "WAV"), ("PCM_U8", "WAV")]
)
def test_no_flipped_bit_of_the_header_changes_the_samples(tmp_path, subtype, kind):
    whole = wav(tmp_path / "a.wav", subtype=subtype, format=kind)
    intact = decode(tmp_path / "a.wav", sample_rate_hz=None)
    begin = whole.index(b"data") + 8
    first = whole.index(b"fmt ") + 10  # the codes of formats with one width, e.g. of A-law and µ-law, differ by one bit
    texts = []
    for bit in range(8 * first, 8 * begin):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "b.wav").write_bytes(changed)
        try:
            found = decode(tmp_path / "b.wav", sample_rate_hz=None)
        except MediaError as error:
            texts.append(str(error))
            continue
        assert (found.sample_rate_hz, found.file_channels) == (8000, 1)
        np.testing.assert_array_equal(found.samples, intact.samples)
    assert len(texts) > 100
    assert all(re.fullmatch(r".*b\.wav: .*", text) for text in texts)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "G721_32", "NMS_ADPCM_16", "ALAW", "DOUBLE"])
def test_samples_packed_in_blocks_are_read_completely(tmp_path, subtype):
    wav(tmp_path / "a.wav", subtype=subtype)
    whole = decode(tmp_path / "a.wav", sample_rate_hz=None).samples
    assert N <= len(whole) < N + 1024
    part = decode(tmp_path / "a.wav", 0.1, 0.3, sample_rate_hz=None).samples
    np.testing.assert_array_equal(part, whole[800:2400])
    assert np.abs(whole).max() > 0.3


def test_sizes_that_a_few_programs_write_are_accepted(tmp_path):
    whole = wav(tmp_path / "a.wav")
    for byte_rate in (0, 8 * 16000):  # left out, or bits instead of bytes
        struct.pack_into("<I", whole, 28, byte_rate)
        assert len(samples(tmp_path / "b.wav", whole)) == N


def test_a_damaged_w64_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.w64", chirp(0.5, 8000), 8000, subtype="PCM_16")
    whole = (tmp_path / "a.w64").read_bytes()
    for byte in (64, 66, 68, 72, 76, 78, 96):  # format, channels, rate, bytes in a second, of a sample, bits, samples
        changed = bytearray(whole)
        changed[byte] ^= 1
        (tmp_path / "a.w64").write_bytes(changed)
        with pytest.raises(MediaError, match=r"a\.w64: "):
            decode(tmp_path / "a.w64")
