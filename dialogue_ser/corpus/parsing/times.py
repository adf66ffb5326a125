"""Read times in the forms in which corpora write them."""

import math
import re
import warnings

# pandas, and so audformat, writes days too: 0 days 00:00:01.500000. A time of no length is "0 days". Numbers of more
# digits are no times, and Python would not make floats of them.
_CLOCK = re.compile(r"(?:(\d{1,9}) days?,? )?(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d*)?)")
_DAYS = re.compile(r"(\d{1,9}) days?")
_SECONDS = re.compile(r"-?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?|-?[.,]\d+")
# Other texts that pandas reads as a length of time: numbers with units (500ms, 1 min 2.5 s), and ISO 8601.
_WITH_UNITS = re.compile(r"(?:\d+(?:[.,]\d+)?\s*[A-Za-zµμ]+\s*)+|P[\dDTHMS.,]+", re.ASCII)


def parse_seconds(text: str) -> float:
    """Return the seconds that a text states.

    Forms: ``00:20:57,256``, ``0:20:57.256``, ``20:57``, ``1257.256``, ``1257,256``, and every form in which pandas
    writes or reads a length of time: ``0 days``, ``0 days 00:20:57.256``, ``P0DT0H20M57.256S``, ``500ms``, ``1.5 s``.

    Raises:
        ValueError: the text does not have such a form.

    >>> parse_seconds("0:20:57,256"), parse_seconds("1257,5"), parse_seconds("01:00"), parse_seconds("0 days")
    (1257.256, 1257.5, 60.0, 0.0)
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
    days = _DAYS.fullmatch(text)
    if _SECONDS.fullmatch(text):
        seconds = float(text.replace(",", "."))
    else:
        seconds = 86400.0 * int(days[1]) if days is not None else _seconds_by_pandas(text)
    if not math.isfinite(seconds):
        raise ValueError(
            f"{text!r} is not a time; write seconds (12.5), hours:minutes:seconds (00:20:57,256) or 0 days 00:20:57.256"
        )
    return seconds


def _seconds_by_pandas(text: str) -> float:
    """Return the seconds of a text with units; NaN = it is no such text."""
    if not _WITH_UNITS.fullmatch(text):
        return math.nan
    import pandas as pd  # only tables that write units need it

    with warnings.catch_warnings(action="ignore"):  # pandas is going to rename units such as d
        try:
            return round(float(pd.Timedelta(text.replace(",", ".")).total_seconds()), 6)
        except (ValueError, OverflowError):
            return math.nan
