"""Checksums inside the files of a run, so that a file that was changed or damaged is noticed when it is read.

A checksum is a part of the file that it describes, because two files cannot be replaced at the same moment: a process
that is killed between them would leave a run that looks damaged. Files of older versions have no checksum and are
accepted.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_YAML_LINE = "# sha256 of the lines below: "
CHECKSUM_KEY = "sha256"


def with_checksum_line(text: str) -> str:
    """Return YAML text with a first line, a comment, that has the checksum of the other lines.

    >>> with_checksum_line("seed: 1\\n").splitlines()[1:]
    ['seed: 1']
    """
    return f"{_YAML_LINE}{_digest(text)}\n{text}"


@cache
def warn_if_changed(text: str, path: Path) -> None:
    """Log one warning if a text has the checksum of other lines (see :func:`with_checksum_line`).

    It is no error, because a user may change a setting on purpose, e.g. a path. A resumed run compares the settings.

    Args:
        text: content of the file.
        path: file, for the message.
    """
    first, _, rest = text.partition("\n")
    if first.startswith(_YAML_LINE) and first.removeprefix(_YAML_LINE).strip() != _digest(rest):
        logger.warning(
            "%s: was changed or damaged after the run wrote it (its checksum differs); restore the file. If you "
            "changed it on purpose, delete its first line, which has the checksum",
            path,
        )


def with_checksum(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of JSON values with one more key, the checksum of all others.

    >>> is_unchanged(with_checksum({"seed": 1})), is_unchanged({**with_checksum({"seed": 1}), "seed": 2})
    (True, False)
    """
    return {**values, CHECKSUM_KEY: digest_of_values(values)}


def is_unchanged(values: Mapping[str, Any]) -> bool:
    """Return whether a mapping has the values of its checksum. A mapping without a checksum counts as unchanged."""
    others = {key: value for key, value in values.items() if key != CHECKSUM_KEY}
    return CHECKSUM_KEY not in values or values[CHECKSUM_KEY] == digest_of_values(others)


def digest_of_values(values: Any) -> str:
    """Return the SHA-256 of JSON values. The order of keys does not count."""
    return _digest(json.dumps(values, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
