"""Numbers as YAML reads them, and the texts that only look like numbers."""

import re
from typing import Any

from dialogue_ser.errors import shown_value

#: Greater numbers are mistakes, and computing with them is not exact.
MOST_NUMBER = 1e15
_WITH_EXPONENT = re.compile(r"([-+]?)(?=\.?\d)(\d[\d_]*)?(?:\.(\d*))?[eE]([-+]?)(\d+)", re.ASCII)


def number_problem(value: Any) -> str:
    """Return what is wrong with a number; "" = nothing.

    >>> number_problem("1e-4")
    "found '1e-4', which YAML reads as text, expected a number; write 1.0e-4"
    """
    if isinstance(value, str):
        written = as_yaml_number(value)
        if written and written != value.strip():
            return f"found {shown_value(value)}, which YAML reads as text, expected a number; write {written}"
        return f"found the text {shown_value(value)}, expected a number{'; remove the quotes' * _is_number(value)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"found {shown_value(value)}, expected a number"
    if not abs(value) <= MOST_NUMBER:
        return f"found {shown_value(value)}, expected a number of at most {MOST_NUMBER:.0e}"
    return ""


def as_yaml_number(text: str) -> str:
    """Return how a number with an exponent is written, so that YAML reads it as a number; "" = the text is none.

    YAML 1.1, which Weights & Biases reads, knows an exponent only after a point, and only with a sign.

    >>> as_yaml_number("1e-4"), as_yaml_number("2.5E6"), as_yaml_number(".5e3"), as_yaml_number("word")
    ('1.0e-4', '2.5e+6', '0.5e+3', '')
    """
    match = _WITH_EXPONENT.fullmatch(text.strip())
    if match is None:
        return ""
    sign, whole, decimals, exponent_sign, exponent = match.groups()
    return f"{sign}{whole or 0}.{decimals or 0}e{exponent_sign or '+'}{exponent}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
