"""Clips that cannot be used: one error names all of them, or they are marked as absent."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dialogue_ser.corpus.schema import Utterance
from dialogue_ser.errors import MediaError
from dialogue_ser.features.core.api import Array

OnBad = Literal["error", "mask"]


class BadClipsError(MediaError):
    """Raised if some clips cannot be used.

    Args:
        rows: features of the good clips, so that the store can keep them.
        problems: one sentence per bad clip.
    """

    def __init__(self, rows: Mapping[str, Array], *problems: str) -> None:
        super().__init__(*problems)
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rows, *self.problems)


def bad_clip_problem(turn: Utterance, problem: str, *, is_unusable: bool = True) -> str:
    """Return the problem as one line that begins with the utterance and the row of its table.

    If the reader knows the clip to be bad, the line says so, and how an unusable clip is set aside.

    >>> from pathlib import Path
    >>> from dialogue_ser.corpus.schema import AudioRef
    >>> clip = AudioRef(Path("a.mp4"), known_fault="known bad clip of MELD: broken")
    >>> bad_clip_problem(Utterance(id="train/a", speaker="Ross", audio=clip), "a.mp4: is damaged")
    'train/a: a.mp4: is damaged (known bad clip of MELD: broken; --data.on_bad mask sets it aside)'
    """
    where = f"{turn.origin} ({turn.id})" if turn.origin else turn.id
    fault = turn.audio.known_fault if turn.audio is not None else ""
    mend = "; --data.on_bad mask sets it aside" if is_unusable else ""
    return f"{where}: {problem}" + (f" ({fault}{mend})" if fault else "")


def raise_if_bad(problems: Sequence[str], on_bad: OnBad, rows: Mapping[str, Array] | None = None) -> None:
    """Raise an error for bad clips, unless the user wants them to be masked.

    Raises:
        BadClipsError: ``on_bad`` is ``error`` and there are problems. The error holds the rows of the good clips.
    """
    if problems and on_bad == "error":
        raise BadClipsError(
            rows or {},
            *problems,
            "these clips cannot be used; --data.on_bad mask marks them as absent ('features encode': --on_bad mask)",
        )
