"""JSON that somebody else wrote: what is too large or too deep is refused at once."""

import time

import pytest

from dialogue_ser.foreign_text import json_text
from dialogue_ser.foreign_text.json_text import JsonError, parse_json, read_json


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[" * 999_999, "is nested too deeply"),
        (b'{"a":' * 999_999, "is nested too deeply"),
        (b"[" + b"[]," * 1_100_000 + b"1]", "has about 2,200,001 values"),
        (b"[" + b"1," * 2_100_000 + b"1]", "has about 2,100,001 values"),
        (b"9" * 100_000, "is not JSON: Exceeds the limit"),
        (b'{"a": 1', "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON: 'utf-8'"),
        (b"", "is not JSON"),
    ],
    ids=["deep lists", "deep mappings", "many lists", "many numbers", "digits", "cut off", "no UTF-8", "empty"],
)
def test_text_that_is_no_json_of_reasonable_size_is_refused_at_once(content, complaint) -> None:
    started = time.monotonic()
    with pytest.raises(JsonError, match=complaint) as refused:
        parse_json(content)
    assert time.monotonic() - started < 2
    assert "\n" not in str(refused.value)


def test_a_large_file_is_not_read_to_its_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(json_text, "MAX_BYTES", 100)
    path = tmp_path / "large.json"
    path.write_text("[" + "1, " * 33 + "1]")
    with pytest.raises(JsonError, match="more than 100 are not read"):
        read_json(path)
    path.write_text('{"a": [1.5, null]}')
    assert read_json(path) == {"a": [1.5, None]}
