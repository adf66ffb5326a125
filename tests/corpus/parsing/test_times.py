"""Times are read in the forms in which corpora write them."""

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
    ],
)
def test_times_are_read_in_every_form(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "1:2:3:4", "00:61:00", "00:00:75", "1,2,3", "nan", "inf", "NaT", "-1 days +23:59:59"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"time|minutes"):
        parse_seconds(text)
