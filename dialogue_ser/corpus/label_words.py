"""The words in which corpora write emotions. They find the class of a word, and cells that hold several labels."""

import ast
import re
import unicodedata
from collections.abc import Mapping, Sequence

#: Emotion → the words for it, in lower case: the class names of the corpora that have a reader, and the codes of
#: IEMOCAP's files. Words that not all corpora use in the same sense, such as calm and none, are not in it.
EMOTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "anger": ("anger", "angry", "ang", "mad"),
    "boredom": ("boredom", "bored"),
    "contempt": ("contempt",),
    "disgust": ("disgust", "disgusted", "dis"),
    "excited": ("excited", "excitement", "exc"),
    "fear": ("fear", "fearful", "fea", "scared", "afraid"),
    "frustrated": ("frustrated", "frustration", "fru"),
    "happiness": ("happiness", "happy", "hap", "joy", "joyful"),
    "neutral": ("neutral", "neutral state", "neu"),
    "other": ("other", "oth"),
    "peaceful": ("peaceful",),
    "powerful": ("powerful",),
    "sadness": ("sadness", "sad"),
    "surprise": ("surprise", "surprised", "sur"),
}
_EMOTION_OF = {word: emotion for emotion, words in EMOTION_WORDS.items() for word in words}

#: Cells that say that there is no label, in lower case. Programs write nan and na; IEMOCAP's files write xxx where the
#: annotators have no majority. The word none is not among them: it is a class of DailyDialog.
EMPTY_WORDS = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "xxx", "-", "--", "?"})

# Marks that separate labels, and marks that may also belong to the name of one class, e.g. happy/excited.
_SEPARATOR, _PERHAPS_SEPARATOR = re.compile(r"[,;|\r\n]"), re.compile(r"[/+&]|\band\b")
# What is written in different ways: hyphens inside a word, underscores, and all marks but plus and minus.
_BETWEEN_WORDS = re.compile(r"(?<=\w)-(?=\w)|[^\w+-]|_")


def plain(label: str) -> str:
    """Return a label without what people write in different ways: case, blanks, hyphens, underscores and other marks.

    >>> plain(" Very_Happy. "), plain("very-happy"), plain("arousal+"), plain("-1")
    ('very happy', 'very happy', 'arousal+', '-1')
    """
    return " ".join(_BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", label).casefold()).split())


def emotion_of(label: str) -> str | None:
    """Return the emotion that a label names, a key of EMOTION_WORDS; None = the word is not known.

    >>> emotion_of("Hap"), emotion_of("joyful"), emotion_of("calm")
    ('happiness', 'happiness', None)
    """
    return _EMOTION_OF.get(plain(label))


def parts_of(label: str, alone: frozenset[str]) -> tuple[str, ...]:
    """Return the labels that one cell seems to hold; () = it holds one label.

    Args:
        label: the cell.
        alone: the labels of other cells, each made :func:`plain`.

    >>> parts_of("['anger', 'x']", frozenset()), parts_of("joy|sad", frozenset()), parts_of("joy/sad", frozenset())
    (('anger', 'x'), ('joy', 'sad'), ())
    >>> parts_of("joy/sad", frozenset({"joy"})), parts_of("n/a", frozenset({"joy"}))
    (('joy', 'sad'), ())
    """
    listed = _listed(label)
    if listed is not None:
        return listed if len(listed) > 1 else ()
    for separator, is_several in ((_SEPARATOR, _is_any_label), (_PERHAPS_SEPARATOR, _are_all_labels)):
        parts = tuple(part for cell in separator.split(label) if (part := cell.strip(" '\"[](){}")))
        if len(parts) > 1 and is_several(parts, alone):
            return parts
    return ()


def _is_any_label(parts: Sequence[str], alone: frozenset[str]) -> bool:
    return any(plain(part) in alone or emotion_of(part) is not None for part in parts)


def _are_all_labels(parts: Sequence[str], alone: frozenset[str]) -> bool:
    # One of them must be the label of another cell. Otherwise it may be a class that joins two emotions.
    known = [plain(part) in alone for part in parts]
    return any(known) and all(
        is_alone or emotion_of(part) is not None for is_alone, part in zip(known, parts, strict=True)
    )


def _listed(label: str) -> tuple[str, ...] | None:
    """Return the labels of a cell that is written as a list or a set; None = it is not written so."""
    text = label.strip()
    if not (text[:1] in ("[", "{", "(") and text[-1:] in ("]", "}", ")")):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if isinstance(value, (list, tuple, set)):
        return tuple(str(part) for part in value)
    inner = tuple(part.strip(" '\"") for part in re.split(r"[,;|\s]+", text[1:-1]))
    return inner if text[0] == "[" else None
