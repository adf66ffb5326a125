"""Decode any audio or video file to one channel of float32 samples. An error says what is wrong with a bad file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from dialogue_ser.errors import MediaError
from dialogue_ser.media.checks import FileFacts, examine
from dialogue_ser.media.containers import decode_container
from dialogue_ser.media.damage import DamagedFileError
from dialogue_ser.media.levels import LevelWarning, level_warnings
from dialogue_ser.media.sound_files import SPAN_TOLERANCE_SECONDS, read_sound_file
from dialogue_ser.versions import installed_version

#: Increase this number when decoding gives different samples. Features in a store are then computed again.
DECODER_REVISION = 2
# This is the full scale of 32-bit integers, which some programs write as floats. A larger value is not sound, and its
# square can be infinite.
_MAX_AMPLITUDE = 2.0**31
# This is three years. FFmpeg cannot represent much later times.
_MAX_SECONDS = 1e8


@dataclass(frozen=True, slots=True, kw_only=True)
class Waveform:
    """One channel of sound.

    Args:
        samples: (n,) float32, finite, n ≥ 1; full scale is ±1.
        sample_rate_hz: sample rate of ``samples``.
        file_sample_rate_hz: sample rate of the file, before resampling.
        file_channels: number of channels of the file. ``samples`` are the mean of its channels.
        warnings: reasons to doubt the level of the sound: far too loud, or channels that cancel each other.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    file_sample_rate_hz: int
    file_channels: int
    warnings: tuple[LevelWarning, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


def decode(
    path: Path | str,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    sample_rate_hz: int | None = 16000,
) -> Waveform:
    """Decode a file, or a span of it: wav, flac, ogg (Vorbis, Opus), mp3, or the sound of mp4, mkv, m4a, ….

    Args:
        path: audio or video file.
        start_seconds: second at which the span begins, counted from the first sample; None = the beginning. It is exact
            to the sample; in Matroska files (mkv, webm) it is exact to a millisecond, their unit of time.
        end_seconds: second at which the span ends; None = the end. It may be up to 0.1 s after the end of the file.
        sample_rate_hz: sample rate of the result (resampled with soxr HQ); None = the sample rate of the file.

    Raises:
        MediaError: the file is missing, empty, truncated, damaged or unreadable, or is a video without sound; the span
            is empty or lies beyond the end; there are no samples, or samples that are NaN, infinite or above 2³¹ (full
            scale is 1).
    """
    path = Path(path)
    is_span = start_seconds is not None or end_seconds is not None
    facts = _check_file(path, is_span=is_span)
    _check_span(path, start_seconds, end_seconds)
    channels_NC, rate = _read(path, facts, start_seconds, end_seconds)
    if not len(channels_NC):
        raise MediaError(f"{path}: holds no samples; record or export it again, or mask it (--data.on_bad mask)")
    if facts.flac and facts.flac.n_samples and not is_span and len(channels_NC) != facts.flac.n_samples:
        raise MediaError(
            f"{path}: damaged FLAC: the header states {facts.flac.n_samples} samples, but {len(channels_NC)} were "
            "decoded; copy or export it again, or mask it (--data.on_bad mask)"
        )
    peak = _peak(path, channels_NC, rate)
    samples = channels_NC.mean(axis=1, dtype=np.float32)
    warnings = level_warnings(path, channels_NC, samples, peak)
    target = rate if sample_rate_hz is None else sample_rate_hz
    if target != rate:
        samples = soxr.resample(samples, rate, target, quality="HQ").astype(np.float32, copy=False)
        if not len(samples):
            raise MediaError(
                f"{path}: {len(channels_NC)} samples at {rate} Hz are too few to resample to {target} Hz; use a longer "
                "clip, or mask it (--data.on_bad mask)"
            )
    return Waveform(
        samples=np.ascontiguousarray(samples),
        sample_rate_hz=target,
        file_sample_rate_hz=rate,
        file_channels=channels_NC.shape[1],
        warnings=warnings,
    )


def decoder_versions() -> dict[str, str]:
    """Return the versions that, besides the file, decide the samples. Every audio encoder's fingerprint holds them.

    >>> sorted(decoder_versions())
    ['av', 'decoder', 'soundfile', 'soxr']
    """
    return {"decoder": str(DECODER_REVISION), **{name: installed_version(name) for name in ("av", "soundfile", "soxr")}}


def _check_file(path: Path, *, is_span: bool) -> FileFacts:
    """Check that the file exists and that its parts agree."""
    try:
        if not path.exists():
            raise MediaError(f"{path}: no such file; correct the path, or mask missing audio (--data.on_bad mask)")
        if not path.is_file():
            raise MediaError(f"{path}: is not a file; give the audio or video file itself")
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: is empty (0 bytes); copy or export it again")
        return examine(path, is_span=is_span)
    except DamagedFileError as damage:
        raise MediaError(f"{path}: {damage}; copy or export it again, or mask it (--data.on_bad mask)") from None
    except OSError as error:
        raise MediaError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions, or mask it "
            "(--data.on_bad mask)"
        ) from error


def _check_span(path: Path, start_seconds: float | None, end_seconds: float | None) -> None:
    start = 0.0 if start_seconds is None else start_seconds
    given = [seconds for seconds in (start_seconds, end_seconds) if seconds is not None]
    if not all(0 <= seconds <= _MAX_SECONDS for seconds in given):
        raise MediaError(
            f"{path}: span {start_seconds}–{end_seconds} s; seconds must be numbers from 0 to {_MAX_SECONDS:.0f}"
        )
    if end_seconds is not None and end_seconds <= start:
        raise MediaError(f"{path}: span {start_seconds}–{end_seconds} s is empty; its end must lie after its start")


def _read(
    path: Path, facts: FileFacts, start_seconds: float | None, end_seconds: float | None
) -> tuple[NDArray[np.float32], int]:
    """Return the samples (frames, channels) of the span and their rate, from libsndfile or otherwise from FFmpeg.

    Raises:
        MediaError: neither can decode the file. No other error leaves the decoders.
    """
    try:
        found = read_sound_file(path, facts, start_seconds, end_seconds)
        if found is not None:
            return found
        return decode_container(path, facts, start_seconds, end_seconds, tolerance_seconds=SPAN_TOLERANCE_SECONDS)
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(
            f"{path}: needs more memory than there is; give shorter spans, or mask it (--data.on_bad mask)"
        ) from error
    except Exception as error:  # a decoder can fail in any way on a damaged file
        raise MediaError(
            f"{path}: cannot be decoded ({type(error).__name__}: {' '.join(str(error).split())}); it is damaged: copy "
            "or export it again, or mask it (--data.on_bad mask)"
        ) from error


def _peak(path: Path, channels_NC: NDArray[np.float32], rate: int) -> float:
    """Return the largest absolute value of the samples.

    Raises:
        MediaError: samples are NaN, infinite or too large to be sound.
    """
    size_NC = np.abs(channels_NC)
    peak = float(size_NC.max())
    if peak <= _MAX_AMPLITUDE:  # the comparison is false for NaN, so NaN is bad too
        return peak
    is_bad_NC = ~(size_NC <= _MAX_AMPLITUDE)
    first = int(np.argmax(is_bad_NC.any(axis=1)))
    raise MediaError(
        f"{path}: {int(is_bad_NC.sum())} samples are NaN, infinite or far too large, the first "
        f"at {first / rate:.3f} s of the span; export it again, or mask it (--data.on_bad mask)"
    )
