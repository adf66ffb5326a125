"""Text from files that a terminal shows: characters that control a terminal are written as escapes.

A name such as ``\\x1b]0;…`` could otherwise change the title of the window, delete lines above it, or turn the
direction of the text. Only what a person reads is changed. Files keep every character.
"""

import logging
import re

# All control characters but the line feed and the tab; marks that turn the direction of the text around them; and
# halves of characters, which no output can encode.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in which the characters that control a terminal are written as escapes of Python.

    >>> print(visible("a\\x1b[31m\\tred\\u202e"))
    a\\x1b[31m	red\\u202e
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


class VisibleFormatter(logging.Formatter):
    """Writes the message of a log record so that a terminal can show it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return visible(super().format(record))
