"""The exceptions of the package. Every message says what is wrong, where it is and how to mend it."""

import re
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from dialogue_ser.foreign_text.terminal_text import visible

#: Of the problems of one kind, this many are shown; of the others only the number is shown.
MOST_SHOWN = 10
#: If there are more kinds than this, words that only few of the problems have are taken for names, too.
_MANY_KINDS = 20
#: The rest of the kinds is only counted.
_MOST_KINDS = 50
#: A value in a message is cut after this many characters.
MOST_OF_A_VALUE = 80
#: A longer line is cut in its middle. Ids and cells of files can have any length.
_MOST_CHARACTERS = 1000
_CUT_OFF_AT_END = 300

# The parts of a message that differ between problems of one kind: quoted texts, parts in brackets, paths (they may
# contain spaces) and all words with digits, dots, slashes, hyphens or underscores, e.g. numbers, ids and file names.
_QUOTED = r"""(?<!\w)'(?:\\.|[^'\\])*'(?!\w)|(?<!\w)"(?:\\.|[^"\\])*"(?!\w)"""
_VARIABLE = re.compile(
    rf"{_QUOTED}|\([^()]*\)|\[[^\[\]]*\]|\S*[/\\][^;:]*?\.\w+\b|\S*[\d/\\_.-]+\S+|\S*\d\S*", re.DOTALL
)


class DialogueSerError(ValueError):
    """Base of every error that a user can cause. The command line prints it and exits with status 2.

    ``problems`` has every problem. The text of the error has the first ones of each kind only (:func:`shown_problems`).

    >>> str(DialogueSerError("meld/train row 3: no text", "meld/train row 9: no text"))
    'meld/train row 3: no text\\nmeld/train row 9: no text'
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send errors back by pickling. Without this method all problems would arrive as one text.
        return type(self), self.problems

    def __str__(self) -> str:
        return "\n".join(shown_problems(self.problems))


class CorpusError(DialogueSerError):
    """Rows or files of a corpus cannot be read. The message lists every bad row that was found."""


class MediaError(DialogueSerError):
    """An audio or video file cannot be decoded."""


class FeatureError(DialogueSerError):
    """An encoder, a feature table or the feature store cannot give the features that are needed."""


class ConfigError(DialogueSerError):
    """A setting has a wrong value, or a name (of a preset, a model, an encoder, …) does not exist."""


class CheckpointError(DialogueSerError):
    """A checkpoint or a model folder cannot be loaded, or it does not fit the run or the model."""


class MissingDataError(DialogueSerError):
    """Data that a preset or a reader needs is not on this machine. The message says how to get it."""


class TrainingError(DialogueSerError):
    """A training run must stop, e.g. because a loss is not finite."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, suggests: bool = True) -> str:
    """Return the message for a name that does not exist. It suggests the most similar name.

    Args:
        kind: kind of thing that has the name, e.g. ``encoder``.
        name: the unknown name.
        known: all names that exist.
        suggests: whether to look for the most similar name, which takes long for thousands of unknown names.

    >>> unknown_name("encoder", "minlm", ["minilm", "opensmile"])
    "unknown encoder 'minlm'; did you mean 'minilm'? Known: minilm, opensmile"
    >>> unknown_name("label", "happy", ["HAPPY", "SAD"])
    "unknown label 'happy'; did you mean 'HAPPY'? Known: HAPPY, SAD"
    """
    choices: Sequence[str] = sorted(known)
    in_lower_case = {choice.casefold(): choice for choice in reversed(choices)}
    near = get_close_matches(name.casefold(), in_lower_case, n=1) if suggests else []
    hint = f"did you mean {in_lower_case[near[0]]!r}? Known" if near else "known"
    return f"unknown {kind} {name!r}; {hint}: {', '.join(choices)}"


def shown_problems(problems: Sequence[str], most: int = MOST_SHOWN) -> list[str]:
    """Return lines for a reader of many problems: the first ones of each kind, and how many more there are.

    Problems are of one kind if their texts are equal apart from numbers, names of files, ids, and quoted parts. The
    kinds are in the order of their first problem. If nothing is left out, the order is not changed.

    Args:
        problems: one text for each problem.
        most: how many problems of one kind are shown.

    >>> shown_problems([f"turns.csv row {row}: the file clip {row}.wav does not exist" for row in range(2, 9)], most=2)
    ['turns.csv row 2: the file clip 2.wav does not exist', 'turns.csv row 3: the file clip 3.wav does not exist', \
'… and 5 more of this kind']
    """
    if len(problems) <= most:
        return [_shortened(problem) for problem in problems]
    by_kind: dict[str, list[str]] = {}
    for problem, kind in zip(problems, _kinds(problems), strict=True):
        by_kind.setdefault(kind, []).append(problem)
    if all(len(found) <= most for found in by_kind.values()) and len(by_kind) <= _MOST_KINDS:
        return [_shortened(problem) for problem in problems]
    lines = []
    for found in list(by_kind.values())[:_MOST_KINDS]:
        lines += [_shortened(problem) for problem in found[:most]]
        if len(found) > most:
            lines.append(f"… and {len(found) - most:,} more of this kind")
    others = list(by_kind.values())[_MOST_KINDS:]
    if others:
        lines.append(f"… and {sum(map(len, others)):,} more of {len(others):,} other kinds")
    return lines


def _kinds(problems: Sequence[str]) -> list[str]:
    """Return the kind of each problem: its text without the parts that differ between problems of one kind."""
    words = [_VARIABLE.sub("…", _shortened(problem)).split() for problem in problems]
    kinds = [" ".join(found) for found in words]
    if len(set(kinds)) <= _MANY_KINDS:
        return kinds
    # Names without any mark are left, e.g. of speakers. A word that belongs to a kind stands in many problems.
    count: Mapping[str, int] = Counter(word for found in words for word in set(found))
    least = max(3, len(problems) // 50)
    return [
        re.sub(r"…(?: …)+", "…", " ".join(word if count[word] >= least else "…" for word in found)) for found in words
    ]


def _shortened(problem: str) -> str:
    """Return a line of a message: not too long, and without characters that control a terminal."""
    problem = visible(problem)
    if len(problem) <= _MOST_CHARACTERS:
        return problem
    n_cut = len(problem) - _MOST_CHARACTERS
    start, end = problem[: _MOST_CHARACTERS - _CUT_OFF_AT_END], problem[-_CUT_OFF_AT_END:]
    return f"{start} … ({n_cut:,} characters left out) … {end}"


def shown_value(value: Any) -> str:
    """Return a value as text for a message, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write whole numbers of more than 4300 digits
        return "a number of too many digits"
    if len(text) <= MOST_OF_A_VALUE:
        return text
    return f"{text[:MOST_OF_A_VALUE]}… ({len(text):,} characters)"


def describe_exception(error: Exception) -> str:
    """Return the exception as text, with the innermost line of code that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
