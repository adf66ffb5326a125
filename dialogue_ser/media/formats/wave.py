"""Check the headers of WAV (RIFF, RIFX, RF64) and W64. libsndfile does not: it reads damaged files."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dialogue_ser.media.damage import DamagedFileError, check_rate, read_at

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_LINEAR = (_PCM, _FLOAT, _ALAW, _ULAW)
# The last 14 bytes of the identifier with which an extensible header states one of the other formats.
_MEDIA_GUID = bytes.fromhex("000000001000800000aa00389b71")
# Some programs keep 20 or 24 bits in 4 bytes.
_ROOMY = ((24, 4), (20, 4))
_W64_HEADER, _W64_CHUNK = 40, 24


@dataclass(slots=True)
class _Format:
    """The chunk ``fmt`` of a file."""

    tag: int
    channels: int
    rate: int
    bytes_per_second: int
    block_bytes: int
    bits: int


def check_wave(file: BinaryIO, size: int) -> int | None:
    """Check a WAV file: the sizes that it states, and the fields of its format.

    A program that writes into a pipe cannot go back and fill in the sizes. It states 0 or a very large number. The
    samples of such a file reach to its end.

    Args:
        file: open file that begins with RIFF, RIFX (big-endian) or RF64.
        size: size of the file in bytes.

    Returns:
        where the chunk of the samples begins, if its size is not stated; otherwise None.

    Raises:
        DamagedFileError: the sizes or the format contradict each other or the size of the file.
    """
    header = read_at(file, 0, 12)
    if len(header) < 12:
        raise DamagedFileError(f"truncated WAV: the RIFF header needs 12 bytes, but the file has {size}")
    order = ">" if header[:4] == b"RIFX" else "<"
    (riff_bytes,) = struct.unpack(f"{order}I", header[4:8])
    position, form, names = 12, None, []
    long_data_bytes: int | None = None
    while position + 8 <= size:
        name, chunk_bytes = struct.unpack(f"{order}4sI", read_at(file, position, 8))
        names.append(name)
        if name == b"ds64":  # RF64 has the sizes of the file and of the samples here, with 64 bits
            sizes = file.read(16)
            long_data_bytes = int.from_bytes(sizes[8:16], "little") if len(sizes) == 16 else None
        if name == b"fmt " and position + 8 + chunk_bytes <= size:
            form = read_format("WAV", file.read(min(chunk_bytes, 40)), order)
        if name == b"data":
            break
        position += 8 + chunk_bytes + chunk_bytes % 2  # chunks are padded to even sizes
    else:
        raise DamagedFileError(f"truncated WAV: the file ends after {size} bytes, before the first sample")
    if form is None:
        raise DamagedFileError("damaged WAV: it states no format (chunk 'fmt ') before its samples")
    if form.tag == _PCM and b"PEAK" in names:
        raise DamagedFileError(
            "damaged WAV: it states whole numbers, but also a peak, which only decimal numbers (floats) have"
        )
    if chunk_bytes == 0xFFFFFFFF and long_data_bytes is not None:
        chunk_bytes = long_data_bytes
    return _check_data(file, size, position, chunk_bytes, riff_bytes, order)


def with_sizes(path: Path, data_at: int) -> io.BytesIO:
    """Return the content of a WAV file with its sizes filled in: the samples reach to the end of the file.

    Args:
        path: WAV file whose sizes are not stated.
        data_at: where the chunk of the samples begins, from :func:`check_wave`.
    """
    content = bytearray(path.read_bytes())
    order = ">" if content[:4] == b"RIFX" else "<"
    content[:4] = b"RIFX" if order == ">" else b"RIFF"
    struct.pack_into(f"{order}I", content, 4, min(len(content) - 8, 0xFFFFFFFF))
    struct.pack_into(f"{order}I", content, data_at + 4, min(len(content) - data_at - 8, 0xFFFFFFFF))
    return io.BytesIO(content)


def check_w64(file: BinaryIO, size: int) -> None:
    """Check a W64 file: its size, the fields of its format, and the chunk of its samples.

    Raises:
        DamagedFileError: they contradict each other or the size of the file.
    """
    stated = int.from_bytes(read_at(file, 16, 8), "little")
    if stated > size:
        raise DamagedFileError(f"truncated W64: the header states {stated} bytes, but the file has {size}")
    position = _W64_HEADER
    while position + _W64_CHUNK <= size:
        start = read_at(file, position, _W64_CHUNK)
        n_bytes = int.from_bytes(start[16:24], "little")  # with the 24 bytes of its own header
        if n_bytes < _W64_CHUNK or position + n_bytes > size:
            raise DamagedFileError(
                f"damaged W64: the chunk at byte {position} states {n_bytes} bytes; the file has {size}"
            )
        if start[:4] == b"fmt ":
            read_format("W64", file.read(min(n_bytes - _W64_CHUNK, 40)), "<")
        position += n_bytes + -n_bytes % 8
    if size - position >= 8:
        raise DamagedFileError(f"damaged W64: {size - position} bytes follow its last chunk")


def read_format(kind: str, chunk: bytes, order: str) -> _Format:
    """Read the chunk ``fmt`` and check that its fields agree.

    Args:
        kind: name of the container, for the message.
        chunk: first bytes of the chunk, at most 40.
        order: ``<`` for little-endian numbers, ``>`` for big-endian ones.

    Raises:
        DamagedFileError: they do not.
    """
    if len(chunk) < 16:
        raise DamagedFileError(f"damaged {kind}: its format (chunk 'fmt ') has {len(chunk)} bytes; it needs 16")
    form = _Format(*struct.unpack(f"{order}HHIIHH", chunk[:16]))
    if form.tag == _EXTENSIBLE and chunk[26:40] == _MEDIA_GUID:
        (form.tag,) = struct.unpack(f"{order}H", chunk[24:26])
    check_rate(kind, form.rate)
    if not form.channels or not form.block_bytes:
        raise DamagedFileError(
            f"damaged {kind}: the header states {form.channels} channels, {form.block_bytes} bytes each time"
        )
    if form.tag in _LINEAR:
        _check_linear(kind, form)
    else:
        _check_packed(kind, form, chunk, order)
    return form


def _check_linear(kind: str, form: _Format) -> None:
    """Check the format of samples that all have the same number of bytes."""
    width, rest = divmod(form.block_bytes, form.channels)
    allowed = {_FLOAT: form.bits in (32, 64), _ALAW: form.bits == 8, _ULAW: form.bits == 8}
    fits = (form.bits + 7) // 8 == width or (form.bits, width) in _ROOMY
    if rest or not fits or not allowed.get(form.tag, 0 < form.bits <= 64):
        raise DamagedFileError(
            f"damaged {kind}: the header states {form.channels} channels with {form.bits} bits, but {form.block_bytes} "
            "bytes for one sample of all channels"
        )
    expected = form.rate * form.block_bytes
    if form.bytes_per_second not in (expected, 0, 8 * expected):  # some programs leave it out or count bits
        raise DamagedFileError(
            f"damaged {kind}: the header states {form.rate} Hz and {form.block_bytes} bytes for one sample of all "
            f"channels, which is {expected} bytes in a second, but also {form.bytes_per_second}"
        )


def _check_packed(kind: str, form: _Format, chunk: bytes, order: str) -> None:
    """Check the format of samples that are packed in blocks (ADPCM, GSM). Programs round the bytes in a second."""
    is_plain = 0 < form.bits * form.channels == 8 * form.block_bytes
    if is_plain and form.bytes_per_second == form.rate * form.block_bytes:
        raise DamagedFileError(
            f"damaged {kind}: the header states a packed format (number {form.tag}), but the sizes of samples that are "
            "not packed"
        )
    if len(chunk) < 20 or form.tag not in (2, 0x11, 0x31) or not form.bytes_per_second:
        return
    (samples,) = struct.unpack(f"{order}H", chunk[18:20])
    expected = form.rate * form.block_bytes / max(samples, 1)
    if abs(form.bytes_per_second - expected) > 0.05 * expected + 1:
        raise DamagedFileError(
            f"damaged {kind}: the header states {form.rate} Hz and {samples} samples in {form.block_bytes} bytes, "
            f"which is {expected:.0f} bytes in a second, but also {form.bytes_per_second}"
        )


def _is_unknown(n_bytes: int) -> bool:
    """Is this a size that programs state if they do not know the size? They use 0, 2³¹ or 2³², or a little less."""
    return n_bytes == 0 or 0x7FFFF000 <= n_bytes <= 0x80001000 or 0xFFFFF000 <= n_bytes <= 0xFFFFFFFF


def _check_data(file: BinaryIO, size: int, data_at: int, n_bytes: int, riff_bytes: int, order: str) -> int | None:
    """Check the sizes of the samples and of the file. The result is that of :func:`check_wave`."""
    begin, riff_end = data_at + 8, riff_bytes + 8
    found = size - begin
    if n_bytes > found and _is_unknown(n_bytes):
        return data_at
    if n_bytes > found:
        raise DamagedFileError(
            f"truncated WAV: the header states {n_bytes} bytes of samples, but the file holds {found}"
        )
    ends = _chunk_ends(file, size, begin + n_bytes, order)
    is_whole = size - ends[-1] <= 1
    if n_bytes == 0 and not is_whole:
        return data_at
    if not is_whole and not any(abs(end - riff_end) <= 1 for end in ends):
        raise DamagedFileError(
            f"damaged WAV: the header states {n_bytes} bytes of samples, but {size - ends[-1]} more bytes follow that "
            "are not a chunk"
        )
    # Some programs count the 8 bytes of the header too. One byte may be missing: the last padding.
    if not _is_unknown(riff_bytes) and riff_end > size + (8 if is_whole else 1):
        raise DamagedFileError(f"truncated WAV: the header states {riff_end} bytes, but the file has {size}")
    return None


def _chunk_ends(file: BinaryIO, size: int, position: int, order: str) -> list[int]:
    """Return where the samples end, and where each chunk behind them ends, as far as these are chunks."""
    ends = [position]
    while True:
        # Chunks are padded to even sizes. Some programs forget it.
        for begin in (position + position % 2, position):
            start = read_at(file, begin, 8)
            if len(start) == 8 and all(0x20 <= byte < 0x7F for byte in start[:4]):
                (n_bytes,) = struct.unpack(f"{order}I", start[4:])
                if begin + 8 + n_bytes <= size:
                    break
        else:
            return ends
        position = begin + 8 + n_bytes
        ends.append(position)
