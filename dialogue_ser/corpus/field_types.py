"""Check the types in a corpus. A reader is often a user's own program, and Python does not check what it returns."""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import CorpusError, shown_value

_NONE = type(None)
#: Field of an utterance → the types that it may have, and their name in messages.
_FIELDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "a text"),
    "speaker": ((str,), "a text"),
    "text": ((str, _NONE), "a text or None"),
    "audio": ((AudioRef, _NONE), "an AudioRef or None"),
    "label": ((str, _NONE), "a text or None"),
    "votes": ((Mapping, _NONE), "a mapping from classes to numbers, or None"),
    "targets": ((Mapping,), "a mapping from dimensions to numbers"),
    "attributes": ((Mapping,), "a mapping from texts to texts"),
    "sentiment": ((str, _NONE), "a text or None"),
    "start_seconds": ((Real, _NONE), "a number or None"),
    "end_seconds": ((Real, _NONE), "a number or None"),
    "origin": ((str,), "a text"),
}
_TEXTS = ("id", "speaker", "text", "label")


def check_types(corpus: Corpus) -> None:
    """Check that everything in a corpus has the type that :mod:`~dialogue_ser.corpus.schema` says.

    Raises:
        CorpusError: something has another type, or a text holds half a character. The error lists all of it.
    """
    problems = list(_problems(corpus))
    if problems:
        raise CorpusError(*problems)


def _problems(corpus: Any) -> Iterator[str]:
    where = f"corpus {corpus.name}"
    if not _is(corpus.label_set, LabelSet | None):
        yield f"{where}: label_set is {shown_value(corpus.label_set)}; give a LabelSet, or None"
    if not _is(corpus.splits, Mapping):
        yield f"{where}: splits is {shown_value(corpus.splits)}; give a mapping from splits to tuples of dialogues"
        return
    for split, dialogues in corpus.splits.items():
        if not _is(split, str):
            yield f"{where}: split {shown_value(split)} is no text; name it by a text"
        elif not _is(dialogues, tuple | list):
            yield f"{where}: split {split!r} is {shown_value(dialogues)}; give a tuple of dialogues"
        else:
            for dialogue in dialogues:
                yield from _dialogue_problems(f"{where}: split {split!r}", dialogue)


def _dialogue_problems(where: str, dialogue: Any) -> Iterator[str]:
    if not _is(dialogue, Dialogue):
        yield f"{where} holds {shown_value(dialogue)}; give Dialogue objects"
    elif not _is(dialogue.id, str):
        yield f"{where}: the id {shown_value(dialogue.id)} of a dialogue is no text; make it a text"
    elif not _is(dialogue.utterances, tuple | list):
        yield f"dialogue {dialogue.id}: utterances is {shown_value(dialogue.utterances)}; give a tuple of Utterance"
    else:
        for turn in dialogue.utterances:
            if _is(turn, Utterance):
                yield from _turn_problems(turn)
            else:
                yield f"dialogue {dialogue.id}: holds {shown_value(turn)}; give Utterance objects"


def _turn_problems(turn: Any) -> Iterator[str]:
    where = f"{turn.origin} ({turn.id})" if turn.origin else f"{turn.id}"
    wrong = [name for name, (kinds, _) in _FIELDS.items() if not _is(getattr(turn, name), kinds)]
    for name in wrong:
        yield f"{where}: {name} is {shown_value(getattr(turn, name))}, expected {_FIELDS[name][1]}"
    for name in ("votes", "targets", "attributes"):
        if name not in wrong and not all(_is(key, str) for key in getattr(turn, name) or ()):
            yield f"{where}: {name} is {shown_value(getattr(turn, name))}; its keys must be texts"
    if turn.audio is not None and "audio" not in wrong:
        for name in ("start_seconds", "end_seconds"):
            if not _is(getattr(turn.audio, name), _FIELDS[name][0]):
                yield f"{where}: audio.{name} is {shown_value(getattr(turn.audio, name))}, expected {_FIELDS[name][1]}"
    for name in _TEXTS:
        value = getattr(turn, name)
        if _is(value, str) and not _is_unicode(value):
            yield f"{where}: {name} is {shown_value(value)}, which holds half a character (a surrogate); correct it"


def _is(value: Any, kinds: Any) -> bool:
    """Return whether a value has one of the types. The type checker believes the annotations, which may be wrong."""
    return isinstance(value, kinds)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
