"""The exceptions of the package. Every message says what is wrong, where it is and how to mend it."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class DialogueSerError(ValueError):
    """Base of every error that a user can cause. The command line prints it and exits with status 2.

    >>> str(DialogueSerError("meld/train row 3: no text", "meld/train row 9: no text"))
    'meld/train row 3: no text\\nmeld/train row 9: no text'
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send errors back by pickling. Without this method all problems would arrive as one text.
        return type(self), self.problems


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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist. It suggests the most similar name.

    Args:
        kind: kind of thing that has the name, e.g. ``encoder``.
        name: the unknown name.
        known: all names that exist.

    >>> unknown_name("encoder", "minlm", ["minilm", "opensmile"])
    "unknown encoder 'minlm'; did you mean 'minilm'? Known: minilm, opensmile"
    """
    choices: Sequence[str] = sorted(known)
    near = get_close_matches(name, choices, n=1)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return f"unknown {kind} {name!r}; {hint}: {', '.join(choices)}"
