"""Check AIFF, AU, CAF and AVI: the sizes in their headers, and what else they state twice."""

import struct
from typing import BinaryIO

from dialogue_ser.media.damage import DamagedFileError, check_rate, read_at

_AU_UNKNOWN = 0xFFFFFFFF
# Bytes of a sample, by the number of the encoding; other encodings have no fixed number.
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
# Kinds of AIFC whose samples have a fixed number of bytes; None: the bits of the header state it.
_AIFC_BYTES = {b"NONE": None, b"twos": None, b"sowt": None, b"fl32": 4, b"FL32": 4, b"fl64": 8, b"ulaw": 1, b"alaw": 1}


def check_aiff(file: BinaryIO, size: int) -> None:
    """Check an AIFF file: its size, and the number of samples against the bytes of the samples.

    Raises:
        DamagedFileError: they contradict each other or the size of the file.
    """
    header = read_at(file, 0, 12)
    stated = int.from_bytes(header[4:8], "big") + 8
    if stated > size:
        raise DamagedFileError(f"truncated AIFF: the header states {stated} bytes, but the file has {size}")
    position, expected = 12, None
    while position + 8 <= size:
        name, n_bytes = struct.unpack(">4sI", read_at(file, position, 8))
        if name == b"COMM":
            expected = _aiff_bytes(file.read(min(n_bytes, 22)), is_aifc=header[8:12] == b"AIFC")
        if name == b"SSND":
            found = n_bytes - 8 - int.from_bytes(file.read(4), "big")
            if position + 8 + n_bytes > size or (expected is not None and found not in (expected, expected + 1)):
                raise DamagedFileError(
                    f"damaged AIFF: the header states {expected} bytes of samples, their chunk {found}, and "
                    f"{size - position - 16} follow"
                )
        position += 8 + n_bytes + n_bytes % 2


def _aiff_bytes(chunk: bytes, *, is_aifc: bool) -> int | None:
    """Return how many bytes the samples have according to the chunk COMM; None = it cannot be known."""
    if len(chunk) < 18:
        raise DamagedFileError(f"damaged AIFF: its format (chunk 'COMM') has {len(chunk)} bytes; it needs 18")
    channels, n_samples, bits, exponent, mantissa = struct.unpack(">HIHHQ", chunk[:18])
    check_rate("AIFF", mantissa * 2.0 ** min((exponent & 0x7FFF) - 16383 - 63, 100))
    kind = chunk[18:22] if is_aifc else b"NONE"
    if kind not in _AIFC_BYTES:
        return None
    n_bytes: int = channels * n_samples * (_AIFC_BYTES[kind] or (bits + 7) // 8)
    return n_bytes


def check_au(file: BinaryIO, size: int) -> None:
    """Check an AU file: its size, rate and number of channels. A streamed file does not state a size.

    Raises:
        DamagedFileError: they contradict each other or the size of the file.
    """
    header = read_at(file, 0, 24)
    if len(header) < 24:
        raise DamagedFileError(f"truncated AU: the header needs 24 bytes, but the file has {size}")
    begin, n_bytes, encoding, rate, channels = struct.unpack(">5I", header[4:])
    check_rate("AU", rate)
    if n_bytes != _AU_UNKNOWN and begin + n_bytes > size:
        raise DamagedFileError(f"truncated AU: the header states {begin + n_bytes} bytes, but the file has {size}")
    width = _AU_BYTES.get(encoding, 1) * channels
    is_shorter = n_bytes != _AU_UNKNOWN and begin + n_bytes < size
    if begin < 24 or not channels or is_shorter or (n_bytes != _AU_UNKNOWN and n_bytes % width):
        raise DamagedFileError(
            f"damaged AU: the header states {n_bytes} bytes of samples from byte {begin} and {width} bytes for one "
            f"sample of all channels, but the file has {size} bytes"
        )


def check_caf(file: BinaryIO, size: int) -> None:
    """Check a Core Audio file: a sequence of chunks with sizes. The size −1 means up to the end of the file.

    Raises:
        DamagedFileError: a chunk is cut off, or the format contradicts itself.
    """
    position = 8
    while position + 12 <= size:
        name, n_bytes = struct.unpack(">4sq", read_at(file, position, 12))
        position += 12
        if name == b"desc":
            _check_caf_format(file.read(32))
        if n_bytes == -1 and name == b"data":
            return
        if n_bytes < 0 or position + n_bytes > size:
            shown = name.decode("ascii", errors="replace")
            raise DamagedFileError(
                f"truncated CAF: chunk {shown!r} states {n_bytes} bytes, but the file holds {size - position} of them"
            )
        position += n_bytes
    if position < size:
        raise DamagedFileError(f"damaged CAF: {size - position} bytes follow its last chunk")


def _check_caf_format(chunk: bytes) -> None:
    if len(chunk) < 32:
        raise DamagedFileError("truncated CAF: the file ends in its format (chunk 'desc')")
    rate, kind, _, packet_bytes, packet_samples, channels, bits = struct.unpack(">d4sIIIII", chunk)
    check_rate("CAF", rate)
    if kind == b"lpcm" and (packet_samples != 1 or not channels or packet_bytes != channels * ((bits + 7) // 8)):
        raise DamagedFileError(
            f"damaged CAF: the header states {channels} channels with {bits} bits, but {packet_bytes} bytes for "
            f"{packet_samples} samples of all channels"
        )


def check_avi(file: BinaryIO, size: int) -> None:
    """Check the sizes of an AVI file: of the whole and of the parts in it.

    Raises:
        DamagedFileError: a part is cut off.
    """
    position = 0
    while position + 8 <= size:
        header = read_at(file, position, 12)
        n_bytes = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF":
            return  # other bytes may follow
        # One byte may be missing, because some programs leave out the last padding byte.
        if n_bytes not in (0, 0xFFFFFFFF) and position + n_bytes + 8 > size + 1:
            kind = header[8:12].decode("ascii", errors="replace").strip()
            raise DamagedFileError(
                f"truncated {kind}: the header states {position + n_bytes + 8} bytes, but the file has {size}"
            )
        position += 8 + n_bytes + n_bytes % 2
        if not n_bytes:
            return
