"""Damaged sound and video files: WAV, FLAC, OGG (Vorbis, Opus), MP3, M4A and MP4.

Survived:

- the file is refused in clear sentences; or
- the samples, their number and their rate are exactly those of the intact file; or
- the number of samples and the rate are right, and only samples differ that the damaged bytes make up. This counts for
  formats without a checksum of their sound only: the damaged samples of a WAV, half a second for each damaged place of
  MP3, M4A and MP4 (their frames depend on their neighbours; elsewhere their decoders may round differently, by 1e-4 of
  full scale). FLAC and OGG have checksums, so nothing may differ there.

A case may take 1 GB of memory and 60 s.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.core import damage
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.damage import Damage
from benchmarks.faults.core.oracle import Refused, answer, failures_name

_SECONDS = 3.0
_REACH_SECONDS = 0.5
#: After damage, decoders of MP3 and AAC round differently up to the end of the file.
_ROUNDING = 1e-4
#: name → format, subtype, rate, channels; None = made with FFmpeg.
_FILES: dict[str, tuple[str, str, int, int] | None] = {
    "pcm16.wav": ("WAV", "PCM_16", 16000, 1),
    "float.wav": ("WAV", "FLOAT", 16000, 2),
    "pcm24.wav": ("WAVEX", "PCM_24", 22050, 2),
    "stereo.flac": ("FLAC", "PCM_16", 22050, 2),
    "mono.flac": ("FLAC", "PCM_16", 16000, 1),
    "vorbis.ogg": ("OGG", "VORBIS", 16000, 1),
    "opus.ogg": ("OGG", "OPUS", 16000, 1),
    "mono.mp3": ("MP3", "MPEG_LAYER_III", 16000, 1),
    "stereo.mp3": ("MP3", "MPEG_LAYER_III", 44100, 2),
    "sound.m4a": None,
    "video.mp4": None,
}
_CHECKED = (".flac", ".ogg")  # formats with checksums of their sound


def _flips(content: bytes, rng: np.random.Generator) -> Damage:
    """Flip 2 to 8 bits, each in a place of its own."""
    changed, places = content, []
    for _ in range(int(rng.integers(2, 9))):
        found = damage.flip_bit(changed, rng)
        changed = found.content
        places.append(found.first)
    return Damage(changed, f"{len(places)} bits flipped, at bytes {sorted(places)}", min(places), max(places) + 1)


_DAMAGES: tuple[tuple[float, Callable[[bytes, np.random.Generator], Damage]], ...] = (
    (0.4, damage.flip_bit),
    (0.2, damage.flip_header_bit),
    (0.1, _flips),
    (0.15, damage.cut),
    (0.05, damage.zero_block),
    (0.05, damage.overwrite_block),
    (0.05, damage.remove_block),
)


def prepare(material: Path) -> None:
    """Write one intact file of every format."""
    import soundfile

    rng = np.random.default_rng(3)
    for name, given in _FILES.items():
        _, subtype, rate, channels = given or ("", "", 16000, 1)
        times_N = np.arange(int(_SECONDS * rate)) / rate
        tone_N = 0.4 * np.sin(2 * np.pi * (220 + 60 * times_N) * times_N)
        noise_NC = rng.normal(0, 0.02, (len(times_N), channels))
        samples_NC = (tone_N[:, None] + noise_NC).astype(np.float32)
        if given:
            soundfile.write(material / name, samples_NC, rate, subtype=subtype, format=given[0])
        else:
            _write_container(material / name, samples_NC[:, 0], rate)


def _write_container(path: Path, samples_N: NDArray[np.float32], rate: int) -> None:
    """Write AAC sound, with a moving picture if the file is an MP4."""
    import av

    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=rate, layout="mono")
        picture = container.add_stream("mpeg4", rate=10, width=64, height=48) if path.suffix == ".mp4" else None
        if picture is not None:
            picture.pix_fmt = "yuv420p"
            for number in range(int(_SECONDS * 10)):
                image = np.full((48, 64, 3), 8 * number % 256, dtype=np.uint8)
                container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(picture.encode(None))
        for first in range(0, len(samples_N), 1024):
            frame = av.AudioFrame.from_ndarray(samples_N[None, first : first + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, first
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def attack(case: Case) -> Outcome:
    """Damage one file and decode it."""
    from dialogue_ser.media.decode import decode

    name = list(_FILES)[case.number % len(_FILES)]
    content = (case.material / name).read_bytes()
    weights = [weight for weight, _ in _DAMAGES]
    done = _DAMAGES[int(case.rng.choice(len(_DAMAGES), p=weights))][1](content, case.rng)
    path = case.folder / name
    path.write_bytes(done.content)
    what = case.note(f"{name}: {done.what}")
    right = decode(case.material / name, sample_rate_hz=None)
    with failures_name(what):
        found = answer(lambda: decode(path, sample_rate_hz=None))
        if isinstance(found, Refused):
            return Outcome("refused", f"{what}: {found}")
        for key in ("sample_rate_hz", "file_channels"):
            if getattr(found, key) != getattr(right, key):
                raise Failed(f"{key} is {getattr(found, key)} in place of {getattr(right, key)}")
        return _compared(found.samples, right.samples, done, content, what, right.sample_rate_hz)


def _compared(
    found_N: NDArray[np.float32], right_N: NDArray[np.float32], done: Damage, content: bytes, what: str, rate: int
) -> Outcome:
    """Compare the samples, and judge where they differ."""
    if len(found_N) != len(right_N):
        raise Failed(f"silently {len(found_N)} samples in place of {len(right_N)}")
    different = np.flatnonzero(found_N != right_N)
    if not len(different):
        return Outcome("equal", what)
    suffix = Path(what.partition(":")[0]).suffix
    if suffix in _CHECKED:
        raise Failed(f"silently {len(different)} wrong samples of {len(right_N)}, although the format has checksums")
    if suffix == ".wav":
        allowed = _damaged_frames(content, done)
        is_local = not done.moves and different[0] >= allowed[0] and different[-1] < allowed[1]
    else:
        different = np.flatnonzero(np.abs(found_N - right_N) > _ROUNDING)
        if not len(different):
            return Outcome("equal", f"{what}: rounded differently")
        n_places = done.what.count(",") if "bits flipped" in done.what else 1
        share = (done.last - done.first) / len(content) * len(right_N) if n_places == 1 else 0
        groups = 1 + np.count_nonzero(np.diff(different) > _REACH_SECONDS * rate)
        reach = n_places * _REACH_SECONDS * rate + 2 * share
        is_local = groups <= n_places and _extent(different, int(_REACH_SECONDS * rate)) <= reach
    if not is_local:
        raise Failed(f"silently {len(different)} wrong samples of {len(right_N)}, {different[0]} to {different[-1]}")
    return Outcome("local", f"{what}: {len(different)} samples differ")


def _damaged_frames(content: bytes, done: Damage) -> tuple[int, int]:
    """Return the first sample that damaged bytes of a WAV make up, and the one after the last."""
    start = content.index(b"data") + 8
    n_bytes = int.from_bytes(content[32:34], "little")  # bytes of one sample of all channels
    return (done.first - start) // n_bytes if done.first >= start else 0, max(0, -((start - done.last) // n_bytes))


def _extent(different: NDArray[np.int64], gap: int) -> int:
    """Return how many samples the groups of differing samples span; a longer gap begins another group."""
    breaks = np.flatnonzero(np.diff(different) > gap)
    firsts = np.concatenate([different[:1], different[breaks + 1]])
    lasts = np.concatenate([different[breaks], different[-1:]])
    return int((lasts - firsts + 1).sum())


FAMILY = Family(
    name="media",
    fault="flipped bits, cuts and lost blocks in WAV, FLAC, OGG, MP3, M4A and MP4",
    one_try="one damaged file, decoded",
    survives="the right samples but for damaged ones that no checksum covers, or a clear refusal",
    quick=300,
    full=2000,
    prepare=prepare,
    attack=attack,
    gigabytes=1.0,
)
