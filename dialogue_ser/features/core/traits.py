"""Optional declarations of an encoder: which fields it reads, how many turns it sees, whether its rows are stored."""

from dataclasses import dataclass, fields
from typing import Literal

from dialogue_ser.corpus.schema import Utterance
from dialogue_ser.errors import ConfigError

Context = tuple[int, int] | Literal["dialogue"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderTraits:
    """Properties of an encoder that the store and the checks use in addition to its interface.

    Args:
        context: how many (past, future) turns the encoder sees around a turn; ``"dialogue"`` = all turns. This is the
            default, because the store would return wrong features if its key ignored turns that the encoder reads.
        reads: fields of an utterance that change the output: ``text``, ``audio``, ``speaker``, ``id``.
        is_stored: False if the feature store should not keep the rows, e.g. because the encoder only looks them up.
        may_be_nan: True if single values may be NaN (a measurement that does not exist). Infinities are never allowed.
        is_data: True if the encoder looks up rows of one corpus. Its fingerprint then may change after training.

    Raises:
        ConfigError: the context is not a pair of turn counts, or an utterance has no such field. The message names all
            problems.
    """

    context: Context = "dialogue"
    reads: tuple[str, ...] = ("text", "audio", "speaker")
    is_stored: bool = True
    may_be_nan: bool = False
    is_data: bool = False

    def __post_init__(self) -> None:
        problems = []
        is_pair = isinstance(self.context, tuple) and len(self.context) == 2
        if self.context != "dialogue" and not (is_pair and all(isinstance(n, int) and n >= 0 for n in self.context)):
            problems.append(
                f"EncoderTraits: context {self.context!r} must be two whole numbers of turns, or 'dialogue'"
            )
        known = [field.name for field in fields(Utterance)]
        if not set(self.reads) <= set(known):
            problems.append(f"EncoderTraits: reads {self.reads!r} must be a tuple of {', '.join(known)}")
        if problems:
            raise ConfigError(*problems)


def traits_of(encoder: object, modality: str) -> EncoderTraits:
    """Return the ``traits`` that an encoder declares, or else defaults that are always safe.

    >>> traits_of(object(), "text")
    EncoderTraits(context='dialogue', reads=('text', 'speaker'), is_stored=True, may_be_nan=False, is_data=False)
    """
    declared = getattr(encoder, "traits", None)
    if isinstance(declared, EncoderTraits):
        return declared
    if modality == "text":
        return EncoderTraits(reads=("text", "speaker"))
    return EncoderTraits(reads=("audio", "speaker")) if modality == "audio" else EncoderTraits()
