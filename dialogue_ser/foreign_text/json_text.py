"""Read JSON that somebody else may have written: the time and the memory that it can take are bounded."""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 2**20
#: Values, lists above all, need far more memory than the text that describes them. The largest vocabularies have a
#: million words.
MAX_VALUES = 2_000_000


class JsonError(ValueError):
    """The text is not JSON, or it is not JSON of reasonable size. The message is one line."""


def parse_json(content: bytes) -> Any:
    """Return the value that a JSON text describes.

    Raises:
        JsonError: the text is not JSON in UTF-8; it is longer than 64 MiB, has more than two million values, or is
            nested more deeply than Python can follow (about 1,000 levels); or a number has too many digits.

    >>> parse_json(b'{"epochs": 3}')
    {'epochs': 3}
    >>> parse_json(b"[" * 100_000)
    Traceback (most recent call last):
    ...
    dialogue_ser.foreign_text.json_text.JsonError: is nested too deeply
    """
    if len(content) > MAX_BYTES:
        raise JsonError(f"has {len(content):,} bytes; more than {MAX_BYTES:,} are not read")
    n_values = sum(map(content.count, (b"[", b"{", b",")))  # counted too high, as texts may have such characters
    if n_values > MAX_VALUES:
        raise JsonError(f"has about {n_values:,} values; more than {MAX_VALUES:,} are not read")
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise JsonError("is nested too deeply") from None
    except ValueError as error:
        raise JsonError(f"is not JSON: {error}") from error


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. A file that is too large is not read.

    Raises:
        OSError: the file cannot be read.
        JsonError: see :func:`parse_json`.
    """
    with path.open("rb") as file:
        return parse_json(file.read(MAX_BYTES + 1))
