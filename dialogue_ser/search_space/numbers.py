"""Numbers as YAML reads them, and the texts that only look like numbers."""

import re
from typing import Any

from dialogue_ser.errors import shown_value

#: Greater numbers are mistakes, and computing with them is not exact.
MOST_NUMBER = 1e15
_WITH_EXPONENT = re.compile(r"([-+]?)(\d[\d_]*)(\.\d*)?[eE]([-+]?)(\d+)")


def number_problem(value: Any) -> str:
    """Return what is wrong with a number; "" = nothing.

    >>> number_problem("1e-4")
    "found '1e-4', which YAML reads as text, expected a number; write 1.0e-4"
    """
    if isinstance(value, str):
        return words_for_text(value) or f"found {shown_value(value)}, expected a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"found {shown_value(value)}, expected a number"
    if not abs(value) <= MOST_NUMBER:
        return f"found {shown_value(value)}, expected a number of at most {MOST_NUMBER:.0e}"
    return ""


def words_for_text(text: str) -> str:
    """Return the message for a text that looks like a number; "" = it does not.

    YAML 1.1, which Weights & Biases reads, knows an exponent only after a point, and only with a sign.
    """
    match = _WITH_EXPONENT.fullmatch(text.strip())
    if match is None:
        try:
            float(text)
        except ValueError:
            return ""
        return f"found the text {shown_value(text)}, expected a number; remove the quotes"
    sign, whole, rest, exponent_sign, exponent = match.groups()
    rest = rest if rest and rest != "." else ".0"
    written = f"{sign}{whole}{rest}e{exponent_sign or '+'}{exponent}"
    if written == text.strip():  # a number in quotes
        return f"found the text {shown_value(text)}, expected a number; remove the quotes"
    return f"found {shown_value(text)}, which YAML reads as text, expected a number; write {written}"
