"""One fault, its outcome, and the families of faults."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

#: equal = the result is the right one; refused = a clear error and no result; local = the result differs only in what
#: was damaged, in a format that has no checksum for it; said = another result, and a warning says so; failed = anything
#: else.
How = Literal["equal", "refused", "local", "said", "failed"]
#: File of a case with the fault in words.
NOTE = "fault.txt"
SURVIVED: tuple[How, ...] = ("equal", "refused", "local", "said")


@dataclass(frozen=True)
class Case:
    """One fault of a family.

    Args:
        family: name of the family.
        number: number of the case in its family, from 0.
        seed: seed of the campaign.
        folder: empty folder that belongs to this case alone.
        material: folder with what the family prepared; nobody changes it.
    """

    family: str
    number: int
    seed: int
    folder: Path
    material: Path

    @cached_property
    def rng(self) -> np.random.Generator:
        """Random numbers that depend on the seed, the family and the number only."""
        return np.random.default_rng([self.seed, zlib.crc32(self.family.encode()), self.number])

    def note(self, what: str) -> str:
        """Write down what the fault is, for the case that its process does not live to tell; return the text."""
        (self.folder / NOTE).write_text(what, encoding="utf-8")
        return what


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Args:
        how: the verdict.
        what: the fault and what followed, in one line.
    """

    how: How
    what: str


class Failed(Exception):  # noqa: N818 - it is a verdict, not an error of this program
    """A case did not survive. The message says what happened."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Faults of one kind.

    Args:
        name: its name on the command line.
        fault: the fault, for the table.
        one_try: what one try is, for the table.
        survives: when a case counts as survived, for the table.
        quick: number of cases with ``--quick``.
        full: number of cases without it.
        prepare: fills the folder of the family's material, in a process of its own.
        attack: makes one fault, in a process of its own, and judges what follows. It raises :class:`Failed`, or any
            other exception, for a case that does not survive.
        seconds: a case that takes longer than this has failed.
        gigabytes: memory that a case may take beyond what its process has at the start.
    """

    name: str
    fault: str
    one_try: str
    survives: str
    quick: int
    full: int
    prepare: Callable[[Path], None]
    attack: Callable[[Case], Outcome]
    seconds: float = 60.0
    gigabytes: float = 2.0
