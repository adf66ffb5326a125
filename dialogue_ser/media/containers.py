"""Decode the sound of videos and other containers that libsndfile cannot read, with FFmpeg (PyAV)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError

# Encoders fill their last frame with padding. The header of an MP4 states the length of the sound to a millisecond. A
# few frames beyond it are padding. If there is more, it is sound, and the header is wrong.
_EXACT_SECONDS = 0.001
_MAX_PADDING_SAMPLES = 4 * 2048
# After a jump, AAC and Opus are decoded exactly only if decoding begins some packets earlier.
_PREROLL_SECONDS = 1.0
# Such files only name other files. Nobody has checked those, and the keys of the feature store do not cover them.
_LISTS_OF_FILES = ("concat", "dash", "hls", "imf", "sdp", "vobsub")


def decode_container(
    path: Path, start_seconds: float | None, end_seconds: float | None, tolerance_seconds: float
) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio stream of a container.

    Args:
        path: existing file.
        start_seconds: second at which the span begins; None = the beginning of the stream.
        end_seconds: second at which the span ends; None = the end of the stream.
        tolerance_seconds: the span may end this long after the end of the stream.

    Returns:
        Samples (n, channels) float32 and their rate in Hz.

    Raises:
        MediaError: the file is not a media file, has no audio stream, is damaged, only lists other files, or changes
            its rate or channels; or the span lies beyond the end.
    """
    import av  # imported here because it loads slowly, and most corpora need only libsndfile

    try:
        with av.open(f"file:{path}") as container:  # without file: FFmpeg would read take:1.mp4 as an address
            _require_sound(path, container)
            pieces, rate, origin_seconds = _decode_frames(path, container, start_seconds, end_seconds)
            declared_seconds = _declared_seconds(container)
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: cannot be decoded ({error.strerror}); it is damaged or is not an audio or video file: copy or "
            "export it again, or mask it (--data.on_bad mask)"
        ) from error
    if not pieces:
        return np.zeros((0, 1), dtype=np.float32), rate
    samples_NC = _without_padding(np.concatenate(pieces, axis=0), rate, origin_seconds, declared_seconds)
    first = 0 if start_seconds is None else max(0, round((start_seconds - origin_seconds) * rate))
    last = len(samples_NC) if end_seconds is None else round((end_seconds - origin_seconds) * rate)
    if first >= len(samples_NC) or last - len(samples_NC) > tolerance_seconds * rate:
        end_of_file = origin_seconds + len(samples_NC) / rate
        raise MediaError(
            f"{path}: span {start_seconds}–{end_seconds} s lies beyond the end of the recording ({end_of_file:.3f} s); "
            "correct the start and end columns"
        )
    return samples_NC[first:last], rate


def _require_sound(path: Path, container: Any) -> None:
    """Check that the container itself holds sound that can be decoded.

    Raises:
        MediaError: it does not.
    """
    if container.format.name.split(",")[0] in _LISTS_OF_FILES:
        raise MediaError(f"{path}: is a list of other files ({container.format.name}); give the recording itself")
    if not container.streams.audio:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream"
        raise MediaError(
            f"{path}: has no sound (found: {kinds}); use a file with an audio stream, or mask it (--data.on_bad mask)"
        )
    if container.streams.audio[0].codec_context is None:
        raise MediaError(
            f"{path}: FFmpeg has no decoder for its sound; export it as WAV or FLAC, or mask it (--data.on_bad mask)"
        )


def _declared_seconds(container: Any) -> float | None:
    """Return the length of the sound that an MP4 states; None for other containers, which only estimate it."""
    stream = container.streams.audio[0]
    if "mp4" not in container.format.name or not stream.duration:
        return None
    return float(stream.duration * stream.time_base)


def _without_padding(
    samples_NC: NDArray[np.float32], rate: int, origin_seconds: float, declared_seconds: float | None
) -> NDArray[np.float32]:
    if declared_seconds is None:
        return samples_NC
    n = round((declared_seconds - origin_seconds) * rate)
    n_beyond = len(samples_NC) - n
    is_padding = _EXACT_SECONDS * rate < n_beyond <= _MAX_PADDING_SAMPLES
    return samples_NC[:n] if n > 0 and is_padding else samples_NC


def _decode_frames(
    path: Path, container: Any, start_seconds: float | None, end_seconds: float | None
) -> tuple[list[NDArray[np.float32]], int, float]:
    """Return decoded pieces (n, channels), their rate, and the second at which the first piece starts.

    Raises:
        MediaError: the rate or the number of channels changes.
    """
    import av

    stream = container.streams.audio[0]
    stream_origin = float((stream.start_time or 0) * stream.time_base)
    if start_seconds is not None and start_seconds > _PREROLL_SECONDS:
        target = stream_origin + start_seconds - _PREROLL_SECONDS
        container.seek(int(target / stream.time_base), stream=stream)
    to_float = av.AudioResampler(format="fltp")
    pieces: list[NDArray[np.float32]] = []
    origin_seconds: float | None = None
    rate = int(stream.rate or 0)
    first_format = (0, 0)
    for frame in container.decode(stream):
        at_seconds = 0.0 if frame.time is None else float(frame.time) - stream_origin
        if end_seconds is not None and at_seconds >= end_seconds:
            break
        rate, n_channels = int(frame.sample_rate), len(frame.layout.channels)
        if origin_seconds is None:
            origin_seconds, first_format = at_seconds, (rate, n_channels)
        if (rate, n_channels) != first_format:
            raise MediaError(
                f"{path}: changes at {at_seconds:.3f} s from {first_format[0]} Hz and {first_format[1]} channel(s) to "
                f"{rate} Hz and {n_channels} channel(s); it seems to hold several recordings: save each in its own file"
            )
        pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(frame))
    if pieces:
        pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(None))
    return pieces, rate, origin_seconds or 0.0
