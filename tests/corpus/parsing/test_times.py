"""Times are read in the forms in which corpora write them."""

import pandas as pd
import pytest

from dialogue_ser.corpus.parsing.times import parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:20:57,256", 1257.256),
        ("0:20:57,256", 1257.256),
        ("1:00:00.5", 3600.5),
        ("02:03", 123.0),
        ("00:00:07,56", 7.56),
        ("12", 12.0),
        ("12,5", 12.5),
        (" .5 ", 0.5),
        ("1e-3", 0.001),
        ("0 days 00:00:01.500000", 1.5),
        ("0 days 00:01:02", 62.0),
        ("1 days 01:00:00.000000001", 90000.0),
        ("0 days", 0.0),
        ("1 days", 86400.0),
        ("1 day", 86400.0),
        ("1 day, 0:00:01", 86401.0),
        ("0 days 00:00:00.500000000", 0.5),
        ("0 days 00:00:01,5", 1.5),
        ("P0DT0H1M2.5S", 62.5),
        ("500ms", 0.5),
        ("500 ms", 0.5),
        ("1.5 s", 1.5),
        ("1,5 s", 1.5),
        ("1 min 2.5 s", 62.5),
    ],
)
def test_times_are_read_in_every_form(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1:2:3:4",
        "00:61:00",
        "00:00:75",
        "1,2,3",
        "nan",
        "inf",
        "NaT",
        "-1 days +23:59:59",
        "5 apples",
        "1 2 days",
        "P",
        "nan s",
        "3 s 4",
        "-500ms",
        "99999999999 weeks",
        "0 days 00:61:00",
        "9" * 400,
        f"{'9' * 400}:00:00",
        f"{'9' * 400} days",
        f"{'9' * 5000} days 00:00:01",
        f"{'9' * 400} s",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"time|minutes"):
        parse_seconds(text)


def test_every_form_in_which_pandas_writes_a_length_of_time_is_read():
    for nanoseconds in (0, 1_000, 500_000_000, 1_500_000_000, 61_000_000_000, 86_400_000_000_000, 90_061_250_000_000):
        length = pd.Timedelta(nanoseconds, unit="ns")
        for text in (str(length), length.isoformat(), str(length.to_pytimedelta())):
            assert parse_seconds(text) == length.total_seconds()
