"""Decode the formats that libsndfile knows: WAV, FLAC, Ogg, MP3, AIFF, AU, CAF, W64."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import FileFacts
from dialogue_ser.media.formats.flac import FlacHeader, samples_md5
from dialogue_ser.media.formats.wave import with_sizes

#: A span may end this long after the end of the recording, because annotations are often rounded to 0.1 s.
SPAN_TOLERANCE_SECONDS = 0.1
# An MP3 or Opus frame needs the frames before it. So libsndfile decodes the first frames after a jump wrongly.
_LEAD_IN_SECONDS = {"MP3": 0.3, "OGG": 0.3, "MPEG": 0.3}
# Samples of all channels that are read at once. A header that promises too many must not reserve memory for all.
_PIECE_SAMPLES = 1 << 24
# An encoder adds at most this many samples before and behind the sound of an MP3.
_MOST_MP3_PADDING = 4 * 1152 + 2 * 4095

_MEND = "copy or export it again, or mask it (--data.on_bad mask)"


def read_sound_file(
    path: Path, facts: FileFacts, start_seconds: float | None, end_seconds: float | None
) -> tuple[NDArray[np.float32], int] | None:
    """Decode a file, or a span of it, with libsndfile.

    Args:
        path: existing file that was checked.
        facts: the result of the check.
        start_seconds: second at which the span begins; None = the beginning.
        end_seconds: second at which the span ends; None = the end.

    Returns:
        samples (n, channels) and their rate in Hz; None = libsndfile cannot decode this format.

    Raises:
        MediaError: the file is damaged or truncated, or the span lies beyond its end.
    """
    if facts.flac is not None and not facts.flac.n_samples:
        return None  # libsndfile cannot decode a FLAC that does not state its length
    try:
        source = path if facts.wave_data_at is None else with_sizes(path, facts.wave_data_at)
        file = soundfile.SoundFile(source)
    except soundfile.LibsndfileError:  # libsndfile does not know the format
        return None
    except TypeError as error:  # soundfile takes the name for that of a raw file
        raise MediaError(f"{path}: has no header, so that its rate is not known; save it as WAV or FLAC") from error
    if _is_estimate(file, facts):
        file.close()
        return None
    try:
        with file:
            return _read(path, file, facts, start_seconds, end_seconds)
    except soundfile.LibsndfileError as error:
        raise MediaError(
            f"{path}: cannot be decoded ({error.error_string}); it is damaged or truncated: {_MEND}"
        ) from error


def _is_estimate(file: soundfile.SoundFile, facts: FileFacts) -> bool:
    """Does libsndfile only estimate the length? It does for an MP3 without a table, and for MP3 in WAV."""
    is_mp3_in_wav = file.format in ("WAV", "WAVEX") and file.subtype.startswith("MPEG")
    frames = facts.frames
    return is_mp3_in_wav or (frames is not None and not frames.has_table and file.frames != frames.n_samples)


def _read(
    path: Path, file: soundfile.SoundFile, facts: FileFacts, start_seconds: float | None, end_seconds: float | None
) -> tuple[NDArray[np.float32], int]:
    rate, total = int(file.samplerate), int(file.frames)
    _check_promise(path, file, facts)
    first, last = span_in_samples(path, start_seconds, end_seconds, rate, total)
    if facts.flac is not None and facts.flac.md5 is not None:
        if (first, last) == (0, total):
            ints_NC = _pieces(file, total, "int32")
            _require_length(path, len(ints_NC), total)
            _require_md5(path, facts.flac, samples_md5(ints_NC, facts.flac.bits).digest())
            # 24 bits are exact in float32. More are rounded once, because the factor is a power of two.
            return ints_NC.astype(np.float32) * np.float32(2.0**-31), rate
        status = path.stat()
        _require_md5(path, facts.flac, _flac_md5(path, facts.flac, status.st_size, status.st_mtime_ns))
    from_sample = max(0, first - round(_LEAD_IN_SECONDS.get(file.format, 0.0) * rate))
    if file.seekable():
        file.seek(from_sample)
    else:  # GSM
        from_sample = 0
    samples_NC = _pieces(file, last - from_sample, "float32")
    _require_length(path, len(samples_NC), last - from_sample)
    return samples_NC[first - from_sample :], rate


def _pieces(file: soundfile.SoundFile, n: int, dtype: str) -> NDArray[Any]:
    """Return the next ``n`` samples (n, channels), or fewer at the end of the file."""
    most = max(1, _PIECE_SAMPLES // max(1, file.channels))
    if n <= most:
        samples: NDArray[Any] = file.read(n, dtype=dtype, always_2d=True)
        return samples
    pieces = []
    while n > 0 and len(piece := file.read(min(n, most), dtype=dtype, always_2d=True)):
        pieces.append(piece)
        n -= len(piece)
    return np.concatenate(pieces) if pieces else np.zeros((0, file.channels), dtype)


def _require_length(path: Path, found: int, expected: int) -> None:
    if found < expected:
        raise MediaError(f"{path}: truncated: expected {expected} samples, but found {found}; {_MEND}")


def _check_promise(path: Path, file: soundfile.SoundFile, facts: FileFacts) -> None:
    """Compare what libsndfile will decode with what the file itself states."""
    total = int(file.frames)
    if file.format == "RAW" and path.suffix.lower() in (".au", ".snd"):  # libsndfile guesses a format
        raise MediaError(f"{path}: damaged AU: it has no header; {_MEND}")
    if facts.flac is not None and total != facts.flac.n_samples:
        raise MediaError(
            f"{path}: damaged FLAC: the header states {facts.flac.n_samples} samples, not {total}; {_MEND}"
        )
    if file.format in ("MP3", "MPEG"):
        frames = facts.frames
        if frames is None:
            raise MediaError(
                f"{path}: damaged MP3: it does not begin with a frame; if nothing is missing, 'ffmpeg -i FILE -c copy "
                "NEW' mends it; otherwise copy or export it again, or mask it (--data.on_bad mask)"
            )
        if not frames.n_samples - _MOST_MP3_PADDING <= total <= frames.n_samples:
            raise MediaError(
                f"{path}: damaged MP3: its frames hold {frames.n_samples} samples, but {total} of them would be "
                f"decoded; {_MEND}"
            )


def _require_md5(path: Path, header: FlacHeader, found: bytes) -> None:
    if found != header.md5:
        raise MediaError(f"{path}: damaged FLAC: its samples do not have the checksum (MD5) that it states; {_MEND}")


@lru_cache(maxsize=4096)
def _flac_md5(path: Path, header: FlacHeader, size: int, modified_ns: int) -> bytes:
    """Return the MD5 of all samples, which costs as much as decoding the whole file."""
    digest = None
    with soundfile.SoundFile(path) as file:
        while len(piece := file.read(_PIECE_SAMPLES // file.channels, dtype="int32", always_2d=True)):
            digest = samples_md5(piece, header.bits, digest)
    found: bytes = b"" if digest is None else digest.digest()
    return found


def span_in_samples(
    path: Path, start_seconds: float | None, end_seconds: float | None, rate: int, total: int
) -> tuple[int, int]:
    """Return where a span begins and ends in a recording of ``total`` samples; the end is one after its last sample.

    Raises:
        MediaError: the span begins at the end of the recording or later, or ends more than 0.1 s after it.
    """
    first = 0 if start_seconds is None else round(start_seconds * rate)
    last = total if end_seconds is None else round(end_seconds * rate)
    is_beyond = last - total > SPAN_TOLERANCE_SECONDS * rate
    if total and (first >= total or is_beyond):
        raise MediaError(
            f"{path}: span {start_seconds}–{end_seconds} s lies beyond the end of the recording "
            f"({total / rate:.3f} s); correct the start and end columns"
        )
    return first, max(first, min(last, total))
