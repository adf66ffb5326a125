"""The sentiment of a turn: negative, neutral or positive. Some systems learn it beside the label."""

from collections.abc import Mapping
from functools import lru_cache

from dialogue_ser.corpus.label_words import emotion_of, plain
from dialogue_ser.corpus.schema import Utterance

#: The sentiments, in the order of their numbers in ``DialogueBatch.sentiment``.
SENTIMENTS = ("negative", "neutral", "positive")

#: Sentiment → the words for it, made :func:`~dialogue_ser.corpus.label_words.plain`.
_WORDS: Mapping[str, frozenset[str]] = {
    "negative": frozenset({"negative", "neg"}),
    "neutral": frozenset({"neutral", "neu"}),
    "positive": frozenset({"positive", "pos"}),
}
#: Emotion → its sentiment. An emotion that can be both, such as surprise, is not in it.
_OF_EMOTION: Mapping[str, str] = {
    **dict.fromkeys(
        ("anger", "boredom", "contempt", "disgust", "fear", "frustrated", "sadness"),
        "negative",
    ),
    "neutral": "neutral",
    **dict.fromkeys(("excited", "happiness", "peaceful", "powerful"), "positive"),
}


@lru_cache(maxsize=4096)
def sentiment_word(text: str) -> str | None:
    """Return the sentiment that a cell of a table names; None = it names none.

    >>> sentiment_word(" Positive"), sentiment_word("mixed")
    ('positive', None)
    """
    word = plain(text)
    return next((sentiment for sentiment, words in _WORDS.items() if word in words), None)


@lru_cache(maxsize=4096)
def sentiment_of_label(label: str) -> str | None:
    """Return the sentiment that follows from a label; None = the label can be more than one, or it is not known.

    >>> sentiment_of_label("joy"), sentiment_of_label("surprise"), sentiment_of_label("negative")
    ('positive', None, 'negative')
    """
    emotion = emotion_of(label)
    return sentiment_word(label) if emotion is None else _OF_EMOTION.get(emotion)


def sentiment_of(turn: Utterance) -> str | None:
    """Return the sentiment of a turn: what the corpus states, otherwise what follows from the label; None = unknown.

    >>> sentiment_of(Utterance(id="a", speaker="Ann", label="surprise", sentiment="positive"))
    'positive'
    """
    if turn.sentiment is not None:
        return turn.sentiment
    return None if turn.label is None else sentiment_of_label(turn.label)
