"""Write sound files of every kind with PyAV, for the tests of this room."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def chirp(seconds: float, rate: int, channels: int = 1, noise: float = 0.02) -> np.ndarray:
    """Return samples (n, channels) of a rising tone with a little noise. No two parts of it are alike."""
    n = round(seconds * rate)
    t = np.arange(n) / rate
    tone = 0.4 * np.sin(2 * np.pi * (200 + 150 * t) * t) + noise * np.random.default_rng(0).standard_normal(n)
    return np.stack([tone * (1 - 0.1 * c) for c in range(channels)], axis=1).astype(np.float32)


def write(
    path: Path,
    sound_NC: np.ndarray,
    rate: int,
    codec: str,
    *,
    with_video: bool = False,
    options: dict[str, str] | None = None,
) -> None:
    """Write a file with one audio stream, and with pictures if ``with_video`` is set."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound_NC.shape[1]]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound_NC.T), format="fltp", layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream("mpeg4", rate=10) if with_video else None
        audio = container.add_stream(codec, rate=rate, layout=layout)
        if video is not None:
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        waiting = av.AudioFifo()
        for part in av.AudioResampler(format=audio.format.name, layout=layout, rate=rate).resample(frame):
            waiting.write(part)
        size, pts, pictures = audio.codec_context.frame_size or 1024, 0, np.random.default_rng(1)
        while waiting.samples:
            if video is not None and pts % rate < size:
                container.mux(video.encode(_picture(pictures, 10 * pts // rate)))
            part = waiting.read(min(size, waiting.samples))
            part.pts = pts
            pts += part.samples
            container.mux(audio.encode(part))
        for stream in (audio, video):
            if stream is not None:
                container.mux(stream.encode(None))


def _picture(random: np.random.Generator, index: int) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(random.integers(0, 255, (32, 32, 3)).astype(np.uint8), format="rgb24")
    picture.pts, picture.time_base = index, Fraction(1, 10)
    return picture
