"""The sound of video and other containers that libsndfile does not read, by FFmpeg (PyAV)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError

# Encoders fill up their last frame. MP4 says how long the sound is, to a millisecond; what goes on for some frames is
# padding, and what goes on for longer is sound that the header does not know of.
_EXACT_SECONDS = 0.001
_MOST_PADDING = 4 * 2048
# AAC and Opus need some packets before a seek point to be decoded exactly.
_PREROLL_SECONDS = 1.0
# These only name other files, which nobody has checked and no key of the feature store covers.
_LISTS_OF_FILES = ("concat", "dash", "hls", "imf", "sdp", "vobsub")


def decode_container(
    path: Path, start_seconds: float | None, end_seconds: float | None, tolerance_seconds: float
) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio stream of a container.

    Args:
        path: existing file.
        start_seconds: first second; None = the beginning.
        end_seconds: end; None = the end of the stream.
        tolerance_seconds: how far the span may reach beyond the end.

    Returns:
        Samples (n, channels) float32 and their rate in Hz.

    Raises:
        MediaError: not a media file, no audio stream, damaged data, a list of other files, sound whose rate or channels
            change, or a span beyond the end.
    """
    import av  # heavy, and most corpora need only libsndfile

    try:
        with av.open(f"file:{path}") as container:  # else take:1.mp4 would be the protocol "take"
            _require_sound(path, container)
            pieces, rate, origin_seconds = _frames(path, container, start_seconds, end_seconds)
            declared_seconds = _declared_seconds(container)
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: cannot be decoded ({error.strerror}); it is damaged or no audio/video file: copy or export it "
            "again, or mask it (--data.on_bad mask)"
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
    """Raises MediaError unless the container itself holds sound that can be decoded."""
    if container.format.name.split(",")[0] in _LISTS_OF_FILES:
        raise MediaError(f"{path}: is a list of other files ({container.format.name}); give the recording itself")
    if not container.streams.audio:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream at all"
        raise MediaError(
            f"{path}: has no sound (found: {kinds}); use a file with an audio stream, or mask it (--data.on_bad mask)"
        )
    if container.streams.audio[0].codec_context is None:
        raise MediaError(
            f"{path}: FFmpeg knows no decoder for its sound; export it as WAV or FLAC, or mask it (--data.on_bad mask)"
        )


def _declared_seconds(container: Any) -> float | None:
    """Length of the sound as the container declares it; None where it only estimates."""
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
    return samples_NC[:n] if n > 0 and _EXACT_SECONDS * rate < n_beyond <= _MOST_PADDING else samples_NC


def _frames(
    path: Path, container: Any, start_seconds: float | None, end_seconds: float | None
) -> tuple[list[NDArray[np.float32]], int, float]:
    """Decoded pieces (n, channels), the rate, and the second at which the first piece starts.

    Raises:
        MediaError: rate or channels change.
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
    began = (0, 0)
    for frame in container.decode(stream):
        at_seconds = 0.0 if frame.time is None else float(frame.time) - stream_origin
        if end_seconds is not None and at_seconds >= end_seconds:
            break
        rate, n_channels = int(frame.sample_rate), len(frame.layout.channels)
        if origin_seconds is None:
            origin_seconds, began = at_seconds, (rate, n_channels)
        if (rate, n_channels) != began:
            raise MediaError(
                f"{path}: changes at {at_seconds:.3f} s from {began[0]} Hz, {began[1]} channel(s), to {rate} Hz, "
                f"{n_channels}; several recordings behind one another: cut them apart"
            )
        pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(frame))
    if pieces:
        pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(None))
    return pieces, rate, origin_seconds or 0.0
