"""Check the tables of an MP4, M4A or MOV file: where its sound lies and how long it is. They have no checksum.

Source: ISO/IEC 14496-12.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.media.damage import DamagedFileError, read_at

# Types of the boxes with which an MP4 or MOV file can begin.
FIRST_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"junk", b"udta")
_FOLDERS = (b"trak", b"mdia", b"minf", b"stbl", b"edts")
_UNKNOWN_TIMES = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
# Durations are rounded to a unit of time. A few programs round to a millisecond, whatever the unit is.
_ROUNDING_SECONDS = 0.001
_NEEDED = (b"tkhd", b"mdhd", b"hdlr", b"stts", b"stsc")
_MOST_UNITS = 10**9
_DEEPEST = 4  # boxes of a track that lie in each other
# The list of parts can leave out the end of the sound, which is padding of a few packets.
_MOST_PADDING_PACKETS = 3

_Ints = NDArray[np.int64]


@dataclass
class _Track:
    """The boxes of one track, by their types; of equal ones the first."""

    boxes: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class _File:
    """The boxes of a file."""

    data: list[tuple[int, int]] = field(default_factory=list)  # begin and end of each mdat
    moov: bytes | None = None
    has_fragments: bool = False


def check_mp4(file: BinaryIO, size: int) -> bool:
    """Check an ISO base media file: its boxes, and the tables of its first sound track.

    Args:
        file: open file that begins with one of :data:`FIRST_BOXES`.
        size: size of the file in bytes.

    Returns:
        whether the index states the duration of the sound. It does not if the sound lies in fragments.

    Raises:
        DamagedFileError: a box reaches beyond the end of the file; or the tables contradict each other, the durations,
            or the place of the media.
    """
    found = _top_boxes(file, size)
    if found.moov is None:
        if found.has_fragments:
            return False
        raise DamagedFileError("damaged MP4: it has no index (box 'moov')")
    try:
        tracks = _tracks(found.moov)
        movie_scale = _movie_scale(found.moov)
        sound = next((track for track in tracks if _is_sound(track)), None)
        if sound is None or found.has_fragments:
            return False
        others = [_chunk_offsets(track) for track in tracks if track is not sound]
        _check_track(sound, movie_scale, sum(end - begin for begin, end in found.data))
        _check_place(sound, found.data, np.concatenate([np.zeros(0, np.int64), *others]))
        return True
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise DamagedFileError(f"damaged MP4: its index is incomplete ({error})") from error


def _top_boxes(file: BinaryIO, size: int) -> _File:
    found = _File()
    position = 0
    while position + 8 <= size:
        header = read_at(file, position, 16)
        n_bytes, name = struct.unpack(">I4s", header[:8])
        n_head = 8
        if n_bytes == 1 and len(header) == 16:
            (n_bytes,), n_head = struct.unpack(">Q", header[8:]), 16
        if n_bytes == 0:  # up to the end of the file
            n_bytes = size - position
        if n_bytes < n_head or not _is_name(name):
            if found.moov is not None and found.data:
                return found  # some programs append other bytes
            raise DamagedFileError(f"damaged MP4: no box begins at byte {position}")
        if position + n_bytes > size:
            shown = name.decode("ascii", errors="replace")
            raise DamagedFileError(
                f"truncated MP4: box {shown!r} states {n_bytes} bytes, but the file holds {size - position} of them"
            )
        if name == b"mdat":
            found.data.append((position + n_head, position + n_bytes))
        elif name == b"moov" and found.moov is None:
            found.moov = read_at(file, position + n_head, n_bytes - n_head)
        found.has_fragments |= name == b"moof"
        position += n_bytes
    return found


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes that lie in a box; raise DamagedFileError if they do not fill it."""
    position = 0
    while position + 8 <= len(content):
        n_bytes, name = struct.unpack_from(">I4s", content, position)
        n_head = 8
        if n_bytes == 1 and position + 16 <= len(content):
            (n_bytes,), n_head = struct.unpack_from(">Q", content, position + 8), 16
        if n_bytes == 0 and not name.strip(b"\0"):
            return  # QuickTime ends some lists with zeros
        if n_bytes < n_head or position + n_bytes > len(content) or not _is_name(name):
            raise DamagedFileError(
                f"damaged MP4: the index has a box {name!r} of {n_bytes} bytes that does not fit into it"
            )
        yield name, content[position + n_head : position + n_bytes]
        position += n_bytes


def _tracks(moov: bytes) -> list[_Track]:
    tracks = []
    for name, content in _boxes(moov):
        if name == b"trak":
            track = _Track()
            _collect(content, track, _DEEPEST)
            missing = [box.decode() for box in _NEEDED if box not in track.boxes]
            if missing:
                raise DamagedFileError(f"damaged MP4: a track has no box {', '.join(missing)}")
            tracks.append(track)
    return tracks


def _collect(content: bytes, track: _Track, most_deep: int) -> None:
    for name, inner in _boxes(content):
        if name in _FOLDERS and most_deep:
            _collect(inner, track, most_deep - 1)
        else:
            track.boxes.setdefault(name, inner)


def _is_sound(track: _Track) -> bool:
    is_sound = track.boxes[b"hdlr"][8:12] == b"soun"
    if b"smhd" in track.boxes and not is_sound:
        raise DamagedFileError("damaged MP4: a track has the header of sound, but is of another kind (box 'hdlr')")
    return is_sound


def _movie_scale(moov: bytes) -> int:
    """Return how many units of the whole film's time are one second."""
    mvhd = next((content for name, content in _boxes(moov) if name == b"mvhd"), b"")
    scale: int = struct.unpack_from(">I", mvhd, 20 if mvhd[0] == 1 else 12)[0]
    if not 0 < scale <= _MOST_UNITS:
        raise DamagedFileError(f"damaged MP4: a second has {scale} units (box 'mvhd')")
    return scale


def _table(box: bytes, columns: int, n_first: int = 8) -> _Ints:
    """Return the numbers of a table (rows, columns); it states its number of rows before the first one."""
    (n_rows,) = struct.unpack_from(">I", box, n_first - 4)
    if n_first + 4 * columns * n_rows > len(box):
        raise DamagedFileError(f"damaged MP4: a table of {len(box)} bytes states {n_rows} rows")
    return np.frombuffer(box, ">u4", columns * n_rows, n_first).astype(np.int64).reshape(n_rows, columns)


def _chunk_offsets(track: _Track) -> _Ints:
    if b"stco" in track.boxes:
        return _table(track.boxes[b"stco"], 1)[:, 0]
    if b"co64" not in track.boxes:
        return np.zeros(0, np.int64)
    halves = _table(track.boxes[b"co64"], 2)
    return (halves[:, 0] << 32) + halves[:, 1]


def _sample_sizes(track: _Track, most_bytes: int) -> _Ints | None:
    """Return the bytes of every sample; None = the track uses the compact form (``stz2``)."""
    if b"stsz" not in track.boxes:
        return None
    box = track.boxes[b"stsz"]
    same, n = struct.unpack_from(">II", box, 4)
    if same:
        if same * n > most_bytes:
            raise DamagedFileError(
                f"damaged MP4: its index states {n} packets of {same} bytes; all media have {most_bytes} bytes"
            )
        return np.broadcast_to(np.int64(same), n)
    return _table(box, 1, n_first=12)[:, 0]


def _check_track(track: _Track, movie_scale: int, n_media_bytes: int) -> None:
    """Check the number of samples and the durations of a track. Samples are packets here."""
    times = _table(track.boxes[b"stts"], 2)
    mdhd = track.boxes[b"mdhd"]
    scale, duration = struct.unpack_from(">IQ", mdhd, 20) if mdhd[0] == 1 else struct.unpack_from(">II", mdhd, 12)
    if not 0 < scale <= _MOST_UNITS:
        raise DamagedFileError(f"damaged MP4: a second of the sound has {scale} units (box 'mdhd')")
    sizes = _sample_sizes(track, n_media_bytes)
    n_timed, total = int(times[:, 0].sum()), int(times.prod(axis=1).sum())
    if sizes is not None and n_timed != len(sizes):
        raise DamagedFileError(
            f"damaged MP4: the index has times for {n_timed} packets of sound, but sizes for {len(sizes)}"
        )
    longest = int(times[:, 1].max(initial=0))
    if duration not in _UNKNOWN_TIMES and abs(duration - total) > 2 + _ROUNDING_SECONDS * scale:
        raise DamagedFileError(
            f"damaged MP4: its sound lasts {duration / scale:.3f} s according to one table (mdhd), but "
            f"{total / scale:.3f} s according to another (stts)"
        )
    _check_edits(track, movie_scale, total / scale, scale, longest)


def _check_edits(track: _Track, movie_scale: int, seconds: float, sound_scale: int, longest: int) -> None:
    """Check the list of the parts that are played against the duration of the track and of its sound."""
    tkhd = track.boxes[b"tkhd"]
    duration = struct.unpack_from(">Q", tkhd, 28)[0] if tkhd[0] == 1 else struct.unpack_from(">I", tkhd, 20)[0]
    allowed = _ROUNDING_SECONDS + 1 / movie_scale + 1 / sound_scale
    played = last = seconds
    if b"elst" in track.boxes:
        elst = track.boxes[b"elst"]
        (n_edits,) = struct.unpack_from(">I", elst, 4)
        row = struct.Struct(">QqI" if elst[0] == 1 else ">IiI")
        if 8 + n_edits * row.size > len(elst):
            raise DamagedFileError(f"damaged MP4: its list of parts has {len(elst)} bytes, but states {n_edits} parts")
        edits = [row.unpack_from(elst, 8 + number * row.size) for number in range(n_edits)]
        played = sum(length for length, _, _ in edits) / movie_scale
        # A part that begins at −1 is a pause before the sound.
        last = max((begin / sound_scale + length / movie_scale for length, begin, _ in edits if begin >= 0), default=0)
    is_other = duration not in _UNKNOWN_TIMES and abs(duration / movie_scale - played) > allowed
    most_left_out = allowed + _MOST_PADDING_PACKETS * longest / sound_scale
    if is_other or not -allowed <= seconds - last <= most_left_out:
        raise DamagedFileError(
            f"damaged MP4: {played:.3f} s are to be played, up to {last:.3f} s of the sound, but the track lasts "
            f"{duration / movie_scale:.3f} s and its sound {seconds:.3f} s; if it was cut so on purpose, "
            "'ffmpeg -i FILE -vn NEW.wav' writes the part"
        )


def _check_place(track: _Track, data: list[tuple[int, int]], others: _Ints) -> None:
    """Check that the packets lie in the boxes of media, and not on each other nor where other tracks lie."""
    n_media_bytes = sum(end - begin for begin, end in data)
    sizes, offsets = _sample_sizes(track, n_media_bytes), _chunk_offsets(track)
    if sizes is None:
        return
    runs = _table(track.boxes[b"stsc"], 3)
    first = runs[:, 0] - 1
    if not len(offsets) and not len(sizes):
        return
    (n_kinds,) = struct.unpack_from(">I", track.boxes[b"stsd"], 4)
    is_known = (runs[:, 2] >= 1) & (runs[:, 2] <= n_kinds)
    is_ordered = len(runs) and first[0] == 0 and (np.diff(first) > 0).all() and first[-1] < len(offsets)
    if not is_ordered or not is_known.all():
        raise DamagedFileError("damaged MP4: the index does not say which packets lie together (box 'stsc')")
    per_chunk = np.repeat(runs[:, 1], np.diff(np.append(first, len(offsets))))
    if per_chunk.sum() != len(sizes):
        raise DamagedFileError(
            f"damaged MP4: the index places {int(per_chunk.sum())} packets of sound, but states sizes for {len(sizes)}"
        )
    ends = np.cumsum(per_chunk)
    total = np.concatenate([[0], np.cumsum(sizes)])
    chunk_ends = offsets + total[ends] - total[ends - per_chunk]
    inside = np.zeros(len(offsets), bool)
    for begin, end in data:
        inside |= (offsets >= begin) & (chunk_ends <= end)
    order = np.argsort(offsets, kind="stable")
    overlap = (chunk_ends[order][:-1] > offsets[order][1:]).any()
    others = np.sort(others)
    crossed = np.searchsorted(others, offsets, "right") < np.searchsorted(others, chunk_ends, "left")
    if not inside.all() or overlap or crossed.any():
        raise DamagedFileError("damaged MP4: the index places packets of sound where other media lie, or none")
