"""The error of the checks in this room: a file contradicts itself."""

from typing import BinaryIO

#: No recording has fewer samples in a second than the first number, and none has more than the second.
SAMPLE_RATES_HZ = (1000, 1_000_000)


class DamagedFileError(Exception):
    """The parts of a file contradict each other. The message says how, and has no path.

    It begins with "truncated" or "damaged" and the name of the format, e.g. "truncated WAV: …".
    """


def check_rate(kind: str, rate_hz: float) -> None:
    """Check that a sample rate can be that of a recording.

    Raises:
        DamagedFileError: it cannot.
    """
    lowest, highest = SAMPLE_RATES_HZ
    if not lowest <= rate_hz <= highest:
        raise DamagedFileError(
            f"damaged {kind}: the header states a sample rate of {rate_hz:g} Hz; no recording has less than {lowest} "
            f"or more than {highest}"
        )


def read_at(file: BinaryIO, position: int, n_bytes: int) -> bytes:
    """Return up to ``n_bytes`` bytes from a position of an open file."""
    file.seek(position)
    return file.read(n_bytes)
