"""One exception family: every user-caused error says what, where and how to mend it."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class DialogueSerError(ValueError):
    """Base of every error a user can cause; the command line prints it and exits with status 2.

    >>> str(DialogueSerError("meld/train row 3: no text", "meld/train row 9: no text"))
    'meld/train row 3: no text\\nmeld/train row 9: no text'
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send errors back; by default the problems would come home as one.
        return type(self), self.problems


class CorpusError(DialogueSerError):
    """Rows or files of a corpus that cannot be read; lists every bad row found in one pass."""


class MediaError(DialogueSerError):
    """An audio or video reference that cannot be decoded."""


class FeatureError(DialogueSerError):
    """An encoder, feature table or feature store that cannot deliver what was asked."""


class ConfigError(DialogueSerError):
    """A setting, preset, model or encoder name that does not exist or does not fit."""


class CheckpointError(DialogueSerError):
    """A checkpoint or model folder that cannot be loaded or does not fit."""


class MissingDataError(DialogueSerError):
    """Data that a preset or reader needs and that is not on this machine; says how to get it."""


class TrainingError(DialogueSerError):
    """A training run that must stop, e.g. a loss that is not finite."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Sentence for a name that does not exist, with the nearest match.

    >>> unknown_name("encoder", "minlm", ["minilm", "opensmile"])
    "unknown encoder 'minlm'; did you mean 'minilm'? Known: minilm, opensmile"
    """
    choices: Sequence[str] = sorted(known)
    near = get_close_matches(name, choices, n=1)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return f"unknown {what} {name!r}; {hint}: {', '.join(choices)}"
