"""Decode the sound of videos and other containers that libsndfile cannot read, with FFmpeg (PyAV)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import FileFacts

# Encoders fill their last frame with padding. The header of an MP4 states the length of the sound to a millisecond. A
# few frames beyond it are padding. If there is more, the header is wrong.
_EXACT_SECONDS = 0.001
_MAX_PADDING_SAMPLES = 4 * 2048
# After a jump, AAC and Opus are decoded exactly only if decoding begins some packets earlier.
_PREROLL_SECONDS = 1.0
# Such files only name other files. Nobody has checked those, and the keys of the feature store do not cover them.
_LISTS_OF_FILES = ("concat", "dash", "hls", "imf", "sdp", "vobsub")
# Streams without a container. FFmpeg looks for their frames anywhere in a file, also in one that is not sound.
_RAW_STREAMS = ("mp3", "aac")
# These decoders compare each frame with its checksum, but go on without the frame unless they are told to stop.
_WITH_CHECKSUM = ("flac", "ac3", "eac3")
_EXACT_CODECS = ("pcm_", "flac", "alac")
_MEND = "copy or export it again, or mask it (--data.on_bad mask)"


@dataclass
class _Stream:
    """A decoded part of a stream.

    Args:
        pieces: samples (n, channels) of each frame.
        rate: sample rate in Hz.
        origin_seconds: second at which the first piece begins.
        longest_frame: samples of the longest frame.
        is_exact: every frame holds as many samples as it states.
        n_packets: number of packets that were decoded.
    """

    pieces: list[NDArray[np.float32]]
    rate: int
    origin_seconds: float = 0.0
    longest_frame: int = 0
    is_exact: bool = False
    n_packets: int = 0


def decode_container(
    path: Path,
    facts: FileFacts,
    start_seconds: float | None,
    end_seconds: float | None,
    *,
    tolerance_seconds: float,
) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio stream of a container.

    Args:
        path: existing file that was checked.
        facts: the result of the check.
        start_seconds: second at which the span begins; None = the beginning of the stream.
        end_seconds: second at which the span ends; None = the end of the stream.
        tolerance_seconds: the span may end this long after the end of the stream.

    Returns:
        Samples (n, channels) float32 and their rate in Hz.

    Raises:
        MediaError: the file is not a media file, has no audio stream, is damaged, holds less or more sound than it
            states, only lists other files, or changes its rate or channels; or the span lies beyond the end.
    """
    import av  # imported here because it loads slowly, and most corpora need only libsndfile

    try:
        # Without file: FFmpeg would read take:1.mp4 as an address. Tags with wrong characters do not change the sound.
        with av.open(f"file:{path}", metadata_errors="ignore") as container:
            _require_sound(path, container, facts)
            stream = _decode_frames(path, container, start_seconds, end_seconds)
            declared_seconds = _declared_seconds(container)
            _require_same_rate(path, container, stream.rate)
            states_it = facts.states_duration or container.format.name == "avi"
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: cannot be decoded ({error.strerror}); it is damaged or is not an audio or video file: {_MEND}"
        ) from error
    rate, origin_seconds = stream.rate, stream.origin_seconds
    if start_seconds is None and end_seconds is None and stream.n_packets < facts.least_packets:
        raise MediaError(
            f"{path}: damaged: its sound has {facts.least_packets} blocks, but only {stream.n_packets} packets were "
            f"decoded; {_MEND}"
        )
    if not stream.pieces:
        return np.zeros((0, 1), dtype=np.float32), rate
    samples_NC = np.concatenate(stream.pieces, axis=0)
    if declared_seconds is not None:
        n = round((declared_seconds - origin_seconds) * rate)
        if end_seconds is None and states_it:
            _require_promise(path, stream, len(samples_NC), n)
        n_beyond = len(samples_NC) - n
        is_padding = _EXACT_SECONDS * rate < n_beyond <= _MAX_PADDING_SAMPLES
        samples_NC = samples_NC[:n] if n > 0 and is_padding else samples_NC
    first = 0 if start_seconds is None else max(0, round((start_seconds - origin_seconds) * rate))
    last = len(samples_NC) if end_seconds is None else round((end_seconds - origin_seconds) * rate)
    if first >= len(samples_NC) or last - len(samples_NC) > tolerance_seconds * rate:
        end_of_file = origin_seconds + len(samples_NC) / rate
        raise MediaError(
            f"{path}: span {start_seconds}–{end_seconds} s lies beyond the end of the recording ({end_of_file:.3f} s); "
            "correct the start and end columns"
        )
    return samples_NC[first:last], rate


def _require_same_rate(path: Path, container: Any, rate: int) -> None:
    """Compare the sample rate with the unit of time of an MP4. Most programs use one sample as the unit.

    Raises:
        MediaError: they are almost equal. No program has a reason for that.
    """
    unit_hz = float(1 / container.streams.audio[0].time_base)
    if "mp4" in container.format.name and 0 < abs(unit_hz - rate) < 0.05 * rate:
        raise MediaError(
            f"{path}: damaged: its samples have {rate} Hz, but its unit of time is 1/{unit_hz:.0f} s; {_MEND}"
        )


def _require_promise(path: Path, stream: _Stream, n_decoded: int, n_declared: int) -> None:
    """Check that a stream has as many samples as the container states, within a frame.

    Raises:
        MediaError: it has not.
    """
    allowed = _EXACT_SECONDS * stream.rate + (0 if stream.is_exact else stream.longest_frame)
    if -allowed <= n_decoded - n_declared <= (allowed if stream.is_exact else _MAX_PADDING_SAMPLES):
        return
    begin = stream.origin_seconds
    raise MediaError(
        f"{path}: damaged: it states {begin + n_declared / stream.rate:.3f} s of sound, but "
        f"{begin + n_decoded / stream.rate:.3f} s were decoded; {_MEND}"
    )


def _require_sound(path: Path, container: Any, facts: FileFacts) -> None:
    """Check that the container itself holds sound that can be decoded.

    Raises:
        MediaError: it does not.
    """
    if container.format.name.split(",")[0] in _LISTS_OF_FILES:
        raise MediaError(f"{path}: is a list of other files ({container.format.name}); give the recording itself")
    is_unchecked_mp4 = "mp4" in container.format.name and not facts.is_mp4
    if is_unchecked_mp4 or (container.format.name in _RAW_STREAMS and facts.frames is None):
        raise MediaError(
            f"{path}: cannot be decoded: it does not begin as a file of its kind ({container.format.name}); {_MEND}"
        )
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
    """Return the length of the sound that a container states; None for those that only estimate it."""
    stream = container.streams.audio[0]
    if container.format.name == "avi" and stream.codec_context.name.startswith("pcm_") and stream.rate:
        return float(stream.frames / stream.rate) or None
    if "mp4" not in container.format.name or not stream.duration:
        return None
    return float(stream.duration * stream.time_base)


def _decode_frames(path: Path, container: Any, start_seconds: float | None, end_seconds: float | None) -> _Stream:
    """Decode the frames of the first audio stream, from a second before the span.

    Raises:
        MediaError: the rate or the number of channels changes.
    """
    import av

    stream = container.streams.audio[0]
    stream_origin = float((stream.start_time or 0) * stream.time_base)
    # FFmpeg would only guess a place in an MP3 by the size of the file.
    is_guess = container.format.name == "mp3"
    if start_seconds is not None and start_seconds > _PREROLL_SECONDS and not is_guess:
        target = stream_origin + start_seconds - _PREROLL_SECONDS
        container.seek(int(target / stream.time_base), stream=stream)
    if stream.codec_context.name in _WITH_CHECKSUM:
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    to_float = av.AudioResampler(format="fltp")
    decoded = _Stream([], int(stream.rate or 0))
    first_format: tuple[int, int] | None = None
    decoded.is_exact = stream.codec_context.name.startswith(_EXACT_CODECS)
    for frame in _frames(path, container, stream, decoded):
        at_seconds = 0.0 if frame.time is None else float(frame.time) - stream_origin
        if end_seconds is not None and at_seconds >= end_seconds:
            break
        rate, n_channels = int(frame.sample_rate), len(frame.layout.channels)
        if first_format is None:
            decoded.rate, decoded.origin_seconds, first_format = rate, at_seconds, (rate, n_channels)
        if (rate, n_channels) != first_format:
            after = decoded.origin_seconds + sum(len(piece) for piece in decoded.pieces) / decoded.rate
            raise MediaError(
                f"{path}: changes at {after:.3f} s from {first_format[0]} Hz and {first_format[1]} channel(s) to "
                f"{rate} Hz and {n_channels} channel(s); it seems to hold several recordings: save each in its own file"
            )
        decoded.longest_frame = max(decoded.longest_frame, frame.samples)
        decoded.pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(frame))
    if decoded.pieces:
        decoded.pieces.extend(part.to_ndarray().T.astype(np.float32) for part in to_float.resample(None))
    return decoded


def _frames(path: Path, container: Any, stream: Any, decoded: _Stream) -> Iterator[Any]:
    """Yield the frames of a stream, and count its packets.

    Raises:
        MediaError: FFmpeg marks a packet as damaged.
    """
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise MediaError(f"{path}: cannot be decoded (packet {decoded.n_packets} of its sound is damaged); {_MEND}")
        decoded.n_packets += bool(packet.size)
        yield from packet.decode()
