"""Tokenizer for trained encoders that read words: a vocabulary from train, and texts as word ids."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.options import construct

PADDING_ID = 0
UNKNOWN_ID = 1
_N_SPECIAL = 2
_TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
# Curly quotes, primes, low quotes, dashes, ellipses. The \x characters are from cp1252 texts that were read as latin-1.
_ASCII = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`\x91\x92", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\x93\x94", '"'),
        **dict.fromkeys("\u2013\u2014\x96\x97", "-"),
        **dict.fromkeys("\u2026\x85", "..."),
        "\u00a0": " ",
    }
)


def ascii_quotes(text: str) -> str:
    """Replace curly quotes, dashes and ellipses by ASCII.

    >>> ascii_quotes("I\u2019m \u201cfine\u201d\u2026")
    'I\\'m "fine"...'
    """
    return text.translate(_ASCII)


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words, which may have inner apostrophes, and single punctuation marks.

    >>> split_words("Oh my God, he\u2019s lost it!")
    ['oh', 'my', 'god', ',', "he's", 'lost', 'it', '!']
    """
    return _TOKEN.findall(ascii_quotes(text).lower())


class WordIds(TokenFrontEnd):
    """Gives word ids from a vocabulary that is fitted on train.

    0 is padding and 1 is any unknown word. The other ids are given by frequency, the most frequent word first.

    Args:
        min_count: a word that occurs less often than this in train is unknown.
        max_words: largest number of words in the vocabulary, without the two special ids; 0 means no limit.
        max_length: largest number of words of an utterance. Longer texts are cut at their end.

    Raises:
        ConfigError: an option is out of range.

    >>> from dialogue_ser.corpus.schema import Utterance
    >>> train = [Dialogue("d", (Utterance(id="u", speaker="s", text="no no yes"),))]
    >>> WordIds().fit(train).encode(train)["u"].tolist()
    [2, 2, 3]
    """

    OPTIONS = ("min_count", "max_words", "max_length")

    def __init__(self, *, min_count: int = 1, max_words: int = 0, max_length: int = 128) -> None:
        if min_count < 1 or max_words < 0 or max_length < 1:
            raise ConfigError(
                f"words: min_count {min_count} and max_length {max_length} must be at least 1, "
                f"max_words {max_words} at least 0"
            )
        self.min_count = min_count
        self.max_words = max_words
        self.max_length = max_length
        self._ids: dict[str, int] | None = None

    def fit(self, dialogues: Sequence[Dialogue]) -> "WordIds":
        """Take the vocabulary from train. Words with equal counts are in alphabetical order.

        So the vocabulary does not depend on the order of the dialogues.

        Raises:
            FeatureError: no utterance has a text.
        """
        counts: Counter[str] = Counter()
        for turn in utterances(dialogues):
            counts.update(split_words(turn.text or ""))
        if not counts:
            raise FeatureError("words: no utterance of the training split has a text; choose another encoder or corpus")
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        kept = [word for word in ranked if counts[word] >= self.min_count]
        kept = kept[: self.max_words] if self.max_words else kept
        self._ids = {word: index + _N_SPECIAL for index, word in enumerate(kept)}
        return self

    @property
    def n_ids(self) -> int:
        """Number of words in the vocabulary, with the two special ids."""
        return len(self._fitted()) + _N_SPECIAL

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the vocabulary. The word at position k has the id k + 2."""
        return tuple(self._fitted())

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return int64 ids ``[L]`` for every utterance that has a text. An empty text is one unknown word."""
        ids = self._fitted()
        rows: dict[str, Array] = {}
        for turn in utterances(dialogues):
            if turn.text is None:
                continue
            words = split_words(turn.text)[: self.max_length]
            rows[turn.id] = np.array([ids.get(word, UNKNOWN_ID) for word in words] or [UNKNOWN_ID], dtype=np.int64)
        return rows

    def state(self) -> dict[str, Any]:
        """Return the options and the words, as values for JSON."""
        options = {name: getattr(self, name) for name in self.OPTIONS}
        return {"options": options, "words": list(self.words)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "WordIds":
        """Return the saved tokenizer; it has no files.

        Raises:
            CheckpointError: the state is incomplete or repeats a word.
        """
        try:
            words = construct("words", cls, state["options"])
            ids = {str(word): index + _N_SPECIAL for index, word in enumerate(state["words"])}
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(
                f"words: the saved vocabulary cannot be read ({error!r}); save the model again"
            ) from None
        if len(ids) != len(state["words"]):
            raise CheckpointError("words: the saved vocabulary repeats a word; save the model again")
        words._ids = ids
        return words

    def _fitted(self) -> dict[str, int]:
        if self._ids is None:
            raise FeatureError("words: fit the vocabulary on the training dialogues first")
        return self._ids
