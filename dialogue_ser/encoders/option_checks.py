"""Checks of the options of trained encoders."""

from collections.abc import Sequence

from dialogue_ser.errors import ConfigError


def size_problems(least: int = 1, **sizes: int | None) -> list[str]:
    """One sentence per size that is smaller than ``least``; None is allowed.

    >>> size_problems(channels=0, max_frames=None)
    ['channels 0 must be at least 1']
    """
    return [
        f"{name} {size} must be at least {least}" for name, size in sizes.items() if size is not None and size < least
    ]


def rate_problems(**rates: float | None) -> list[str]:
    """One sentence per rate, e.g. of dropout, that is not in [0, 1); None is allowed.

    >>> rate_problems(dropout=1.0, hidden_dropout=None)
    ['dropout 1.0 must be at least 0 and below 1']
    """
    return [
        f"{name} {rate} must be at least 0 and below 1"
        for name, rate in rates.items()
        if rate is not None and not 0 <= rate < 1
    ]


def raise_problems(encoder: str, problems: Sequence[str]) -> None:
    """Raise all problems as one error, each with the name of the encoder before it; do nothing if there is none.

    Raises:
        ConfigError: there are problems.
    """
    if problems:
        raise ConfigError(*(f"{encoder}: {problem}" for problem in problems))
