"""Optional attributes of an encoder: what it reads, how far it looks, whether its output is worth storing."""

from dataclasses import dataclass, fields
from typing import Literal

from dialogue_ser.corpus.schema import Utterance
from dialogue_ser.errors import ConfigError

Context = tuple[int, int] | Literal["dialogue"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderTraits:
    """What the store and the checks need to know beyond the protocol.

    Args:
        context: (past, future) turns the encoder sees around a turn; ``"dialogue"`` = all of them, assumed of a class
            that does not say, because a key that ignores neighbours an encoder reads would return wrong features.
        reads: fields of an utterance that decide its output: ``text``, ``audio``, ``speaker``, ``id``.
        is_stored: False for encoders that only look rows up; the feature store passes them through.
        may_be_nan: single values may be NaN (a measurement that does not exist); infinities are never allowed.
        is_data: rows belong to one corpus, so another fingerprint later is not another encoder.

    Raises:
        ConfigError: a context that is no number of turns, fields that an utterance does not have; names all of them.
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
    """The ``traits`` an encoder declares, or careful defaults.

    >>> traits_of(object(), "text")
    EncoderTraits(context='dialogue', reads=('text', 'speaker'), is_stored=True, may_be_nan=False, is_data=False)
    """
    declared = getattr(encoder, "traits", None)
    if isinstance(declared, EncoderTraits):
        return declared
    if modality == "text":
        return EncoderTraits(reads=("text", "speaker"))
    return EncoderTraits(reads=("audio", "speaker")) if modality == "audio" else EncoderTraits()
