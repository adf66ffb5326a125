"""Read times in the forms in which corpora write them."""

import re

# pandas, and so audformat, writes days too: 0 days 00:00:01.500000.
_CLOCK = re.compile(r"(?:(\d+) days? )?(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d*)?)")
_SECONDS = re.compile(r"-?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?|-?[.,]\d+")


def parse_seconds(text: str) -> float:
    """Return the seconds that a text states.

    Forms: ``00:20:57,256``, ``0:20:57.256``, ``20:57``, ``0 days 00:20:57.256``, ``1257.256`` and ``1257,256``.

    Raises:
        ValueError: the text does not have such a form.

    >>> parse_seconds("0:20:57,256"), parse_seconds("1257,5"), parse_seconds("01:00")
    (1257.256, 1257.5, 60.0)
    """
    text = text.strip()
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = int(clock[2] or 0), int(clock[3]), float(clock[4].replace(",", "."))
        hours += 24 * int(clock[1] or 0)
        if minutes >= 60 or seconds >= 60:
            raise ValueError(f"{text!r} has more than 59 minutes or seconds; correct it")
        # The rounding is needed because 20 * 60 + 57.256 is not the double that is nearest to 1257.256.
        return round(hours * 3600 + minutes * 60 + seconds, 6)
    if _SECONDS.fullmatch(text):
        return float(text.replace(",", "."))
    raise ValueError(f"{text!r} is not a time; write seconds (12.5) or hours:minutes:seconds (00:20:57,256)")
