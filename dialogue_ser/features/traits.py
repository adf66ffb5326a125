"""Optional attributes of an encoder: what it reads, how far it looks, whether its output is worth storing."""

from dataclasses import dataclass
from typing import Literal

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
    """

    context: Context = "dialogue"
    reads: tuple[str, ...] = ("text", "audio", "speaker")
    is_stored: bool = True
    may_be_nan: bool = False
    is_data: bool = False


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
