"""Checks that every key of a sweep file needs: unknown keys, mappings, words and texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.errors import shown_value, unknown_name
from dialogue_ser.foreign_text.yaml_text import place_text
from dialogue_ser.search_space.parameters import Place


class KeyReader:
    """Reads the values of one file and collects the mistakes.

    Args:
        path: the file.
        values: its content.
        lines: place → line.
        unquoted: place → text without quotes.
    """

    def __init__(
        self, path: Path, values: Mapping[Any, Any], lines: Mapping[Place, int], unquoted: Mapping[Place, str]
    ) -> None:
        self.path, self.values, self.lines, self.unquoted = path, values, lines, unquoted
        self._noted: list[tuple[int, str]] = []

    @property
    def problems(self) -> list[str]:
        """All mistakes, each once, in the order of their lines."""
        return list(dict.fromkeys(text for _, text in sorted(self._noted, key=lambda noted: noted[0])))

    def note(self, place: Place, problem: str) -> None:
        """Note a mistake at a place."""
        known = (self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines)
        self._noted.append((next(known, 0), f"{place_text(self.path, self.lines, place)}: {problem}"))

    def unknown(self, place: Place, values: Mapping[Any, Any], known: Sequence[str]) -> None:
        """Note the keys that do not exist."""
        for key in values:
            if key not in known:
                self.note((*place, str(key)), unknown_name("key", str(key), known))

    def mapping(self, place: Place, value: Any, example: str, known: Sequence[str]) -> Mapping[str, Any] | None:
        """Return a mapping; None after a mistake. Unknown keys are noted."""
        if not isinstance(value, Mapping):
            self.note(place, f"found {shown_value(value)}, expected a mapping such as {example}")
            return None
        self.unknown(place, value, known)
        return value

    def choice(self, place: Place, value: Any, known: Sequence[str]) -> str:
        """Return one of some words; the first of them after a mistake."""
        if isinstance(value, str) and value in known:
            return value
        if isinstance(value, bool) and str(value).lower() in known:
            self.note(place, f"found {value}, expected text; write '{str(value).lower()}' in quotes")
        else:
            self.note(place, unknown_name(place[-1], str(value), known))
        return known[0]

    def text(self, key: str) -> str:
        """Return the text of a key; "" if it is absent, or after a mistake."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.note((key,), f"found {shown_value(value)}, expected text (in quotes if it looks like a number)")
            return ""
        return value
