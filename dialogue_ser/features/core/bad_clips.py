"""What happens to clips that cannot be used: one error names all of them, or they are marked absent."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dialogue_ser.corpus.schema import Utterance
from dialogue_ser.errors import MediaError
from dialogue_ser.features.core.api import Array

OnBad = Literal["error", "mask"]


class BadClipsError(MediaError):
    """Some clips cannot be used.

    Args:
        rows: features of the good clips, so that the store can keep them.
        problems: one sentence per bad clip.
    """

    def __init__(self, rows: Mapping[str, Array], *problems: str) -> None:
        super().__init__(*problems)
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rows, *self.problems)


def problem_of(turn: Utterance, problem: str) -> str:
    """One line that names the utterance and its row."""
    where = f"{turn.origin} ({turn.id})" if turn.origin else turn.id
    return f"{where}: {problem}"


def raise_if_bad(problems: Sequence[str], on_bad: OnBad, rows: Mapping[str, Array] | None = None) -> None:
    """Stop on bad clips unless they are to be masked.

    Raises:
        BadClipsError: ``on_bad`` is ``error`` and there are problems; carries the rows of the good clips.
    """
    if problems and on_bad == "error":
        raise BadClipsError(
            rows or {},
            *problems,
            "these clips cannot be used; --data.on_bad mask marks them absent (in 'features encode' --on_bad mask)",
        )
