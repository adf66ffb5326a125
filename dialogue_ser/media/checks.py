"""Check a file before it is decoded. Decoders skip what is damaged and return fewer samples without an error."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dialogue_ser.media.damage import DamagedFileError, read_at
from dialogue_ser.media.formats.flac import FlacHeader, read_flac_header
from dialogue_ser.media.formats.matroska import EBML, check_matroska
from dialogue_ser.media.formats.mp4 import FIRST_BOXES, check_mp4
from dialogue_ser.media.formats.mpeg import Frames, check_adts, check_mp3
from dialogue_ser.media.formats.ogg import check_ogg
from dialogue_ser.media.formats.wave import check_w64, check_wave
from dialogue_ser.media.stated_sizes import check_aiff, check_au, check_avi, check_caf

_W64 = b"riff\x2e\x91\xcf\x11"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the checks found out about a file, for its decoder.

    Args:
        wave_data_at: a WAV does not state the size of its samples; their chunk begins here. None = any other file.
        flac: header of a FLAC file.
        frames: the frames of an MP3 or of raw AAC.
        is_mp4: the file is an MP4.
        states_duration: an MP4 states the exact duration of its sound.
        least_packets: the sound of a Matroska file has at least this many packets; 0 = not known.
    """

    wave_data_at: int | None = None
    flac: FlacHeader | None = None
    frames: Frames | None = None
    is_mp4: bool = False
    states_duration: bool = False
    least_packets: int = 0


def examine(path: Path, *, is_span: bool) -> FileFacts:
    """Check that the parts of a file agree: sizes, tables, numbers of frames, and checksums.

    It knows WAV, W64, AIFF, AU, CAF, AVI, FLAC, Ogg, MP3, raw AAC, MP4/MOV/M4A and MKV/WebM. Every other file passes.

    Args:
        path: existing file.
        is_span: only a part of the file will be decoded. Then it is checked only once, unless it changes, because many
            utterances can lie in one long file.

    Raises:
        DamagedFileError: they do not agree, or the file is truncated.
        OSError: the file cannot be read.
    """
    if not is_span:
        return _examine(path)
    status = path.stat()
    return _examine_once(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _examine_once(path: Path, size: int, modified_ns: int) -> FileFacts:
    return _examine(path)


def _examine(path: Path) -> FileFacts:
    try:
        return _examine_kind(path)
    except (struct.error, ValueError, LookupError, ArithmeticError) as error:
        raise DamagedFileError(f"damaged: its header cannot be read ({error})") from error


def _examine_kind(path: Path) -> FileFacts:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = read_at(file, 0, 16)
        is_riff = start[:4] in (b"RIFF", b"RIFX", b"RF64")
        if is_riff and (start[8:12] == b"WAVE" or len(start) < 12):
            return FileFacts(wave_data_at=check_wave(file, size))
        if is_riff:
            check_avi(file, size)
        elif start[:4] == EBML:
            return FileFacts(least_packets=check_matroska(file, size) or 0)
        elif start[:4] == b"OggS":
            check_ogg(file, size)
        elif start[4:8] in FIRST_BOXES:
            return FileFacts(is_mp4=True, states_duration=check_mp4(file, size))
        elif start[:4] == b"caff":
            check_caf(file, size)
        elif start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
            check_aiff(file, size)
        elif start[:4] == b".snd":
            check_au(file, size)
        elif start[:8] == _W64:
            check_w64(file, size)
        elif start[:4] == b"fLaC" or start[:3] == b"ID3" or start[:1] in (b"\xff", b"\0", b"A"):
            flac = read_flac_header(file, size)
            frames = None if flac else check_mp3(file, size) or check_adts(file, size)
            return FileFacts(flac=flac, frames=frames)
    return FileFacts()
