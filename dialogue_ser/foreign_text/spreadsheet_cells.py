"""Cells of a CSV file that a spreadsheet would compute: ``=cmd|…`` in a transcript can start a program in Excel.

Predictions repeat texts, names and labels that came from outside. In a CSV file, a cell that begins like a formula gets
an apostrophe in front, so that a spreadsheet shows it as text. The reader of tables takes the apostrophe away again.
JSON Lines and parquet keep every text as it is.
"""

import re
from collections.abc import Sequence

# A spreadsheet computes a cell that begins with one of these characters. Numbers and lone dashes are harmless.
_FORMULA = re.compile(r"[=+\-@\t\r].*\w", re.DOTALL)
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?%?")
_COLUMNS_OF_PREDICTIONS = {"dialogue_id", "utterance_id", "turn"}


def guard(text: str) -> str:
    """Return a cell that a spreadsheet shows as text. :func:`unguard` gives the text back.

    >>> [guard(text) for text in ("=1+1", "- Well.", "-0.5", "no = sign", "'=1", "'tis")]
    ["'=1+1", "'- Well.", '-0.5', 'no = sign', "''=1", "'tis"]
    """
    is_formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula or _GUARDED.match(text) else text


def unguard(text: str) -> str:
    """Return the text of a cell that :func:`guard` made.

    >>> [unguard(guard(text)) for text in ("=1+1", "-0.5", "'=1", "'tis")]
    ['=1+1', '-0.5', "'=1", "'tis"]
    """
    return text[1:] if _GUARDED.match(text) else text


def is_guarded_table(columns: Sequence[str]) -> bool:
    """Return whether a table has the columns that ``dialogue-ser predict`` writes. Its cells are guarded."""
    has_prediction = any(name == "predicted" or name.startswith("predicted_") for name in columns)
    return has_prediction and set(columns) >= _COLUMNS_OF_PREDICTIONS
