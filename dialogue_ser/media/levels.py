"""Notice sound that can be decoded but is probably not what was recorded: too loud, or channels that cancel."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Music that was made too loud reaches 3 or 4 at full scale 1. Whole numbers that were saved as floats reach thousands.
LOUD_PEAK = 10.0
#: The mean of two channels without any relation is 3 dB below each of them. This is 26 dB.
CANCELLED_SHARE = 0.05
#: Below this level (−80 dB) a channel counts as silence.
_SILENT_RMS = 1e-4


class LevelWarning(NamedTuple):
    """A reason to doubt the level of a recording.

    Args:
        kind: ``loud`` = far above full scale, ``cancelled`` = the mean of the channels is almost silence.
        text: one sentence that begins with the path.
    """

    kind: Literal["loud", "cancelled"]
    text: str


def level_warnings(
    path: Path, channels_NC: NDArray[np.float32], samples: NDArray[np.float32], peak: float
) -> tuple[LevelWarning, ...]:
    """Return the reasons to doubt the level of a recording.

    Args:
        path: the file, for the sentence.
        channels_NC: (n, channels) samples at the sample rate of the file; full scale is ±1.
        samples: (n,) mean of the channels.
        peak: largest absolute value of ``channels_NC``.
    """
    warnings = []
    if peak > LOUD_PEAK:
        text = (
            f"{path}: its peak is {peak:.6g}, but full scale is 1; it seems to hold whole numbers that were saved as "
            "floats: divide them by 32768 (if they have 16 bits), or export it as 16-bit WAV"
        )
        warnings.append(LevelWarning("loud", text))
    if channels_NC.shape[1] > 1:
        loudest = float(np.sqrt(np.square(channels_NC, dtype=np.float32).mean(axis=0, dtype=np.float64)).max())
        mean = float(np.sqrt(np.square(samples, dtype=np.float32).mean(dtype=np.float64)))
        if loudest > _SILENT_RMS and mean < CANCELLED_SHARE * loudest:
            below = f"{20 * np.log10(loudest / mean):.0f} dB below a channel" if mean else "silence"
            text = (
                f"{path}: its channels cancel each other (their mean is {below}), and only their mean is used; export "
                "one channel, or turn the sign of the other one"
            )
            warnings.append(LevelWarning("cancelled", text))
    return tuple(warnings)
