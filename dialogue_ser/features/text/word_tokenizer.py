"""Tokenizer for trained encoders that read words: a vocabulary from train, and texts as word ids."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import regex

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.options import construct

PADDING_ID = 0
UNKNOWN_ID = 1
_N_SPECIAL = 2
#: Boundaries of Unicode Standard Annex #29, "Word Boundaries".
_BOUNDARY = regex.compile(r"\b", regex.WORD | regex.V1)
#: An apostrophe that is not inside a word. The annex leaves it open whether such a one belongs to the word.
_OUTER_APOSTROPHE = regex.compile(r"(?<!\w)'|'(?!\w)")
_INNER_APOSTROPHE = "\u02bc"  # a letter for the annex
#: The annex joins 3.14 and ok.then. But a space after a full stop is often missing in transcripts.
_ALWAYS_ALONE = re.compile(r"[.,:;]")
_INVISIBLE = regex.compile(r"[\s\p{Z}\p{Cc}\p{Cf}]*")
_ASCII_TOKEN = re.compile(r"[a-z0-9_]+(?:'[a-z0-9_]+)*|[!-/:-@\[-^`{-~]")
_WORD_CHARACTER = re.compile(r"\w")
#: The rule of models that were saved without the number of their rule.
_FIRST_RULE_TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
#: Marks that are not seen: soft hyphen, byte order mark, directions of writing, and which form of an emoji is meant.
#: A zero-width space separates words.
_UNSEEN = str.maketrans(
    {
        **dict.fromkeys("\u00ad\ufeff\u200e\u200f\u061c\ufe0e\ufe0f", ""),
        **{chr(code): "" for code in (*range(0x202A, 0x202F), *range(0x2060, 0x206A))},
        "\u200b": " ",
        "\u02bc": "'",  # Ukrainian and others write it for the apostrophe
    }
)
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

    Words end where Unicode says so (Unicode Standard Annex #29), and at full stops, commas, colons and semicolons.
    Letters keep their marks: vowel signs and accents. Two spellings of one letter with an accent are the same (NFC). An
    emoji with everything that is joined to it is one word. Scripts without spaces between words have no boundaries that
    can be found without a dictionary. There, each character with its marks is a word (Chinese, Japanese hiragana, Thai,
    Lao, Khmer, Burmese).

    >>> split_words("Oh my God, he\u2019s lost it!")
    ['oh', 'my', 'god', ',', "he's", 'lost', 'it', '!']
    >>> split_words("नमस्ते दोस्त"), split_words("你好吗"), split_words("no.no")
    (['नमस्ते', 'दोस्त'], ['你', '好', '吗'], ['no', '.', 'no'])
    """
    text = unicodedata.normalize("NFC", ascii_quotes(text).translate(_UNSEEN).lower())
    return _ASCII_TOKEN.findall(text) if text.isascii() else _split_by_annex(text)


def _split_by_annex(text: str) -> list[str]:
    """Split a normalised text by the annex. ASCII alone needs no annex: :func:`split_words` is faster there."""
    text = _OUTER_APOSTROPHE.sub(" ' ", _ALWAYS_ALONE.sub(r" \g<0> ", text))
    inner = re.sub(r"'(?! )", _INNER_APOSTROPHE, text)
    pieces = (piece for piece in _BOUNDARY.split(inner) if not _INVISIBLE.fullmatch(piece))
    return [piece.replace(_INNER_APOSTROPHE, "'") for piece in pieces]


def split_words_by_the_first_rule(text: str) -> list[str]:
    """Split a text as models without the number of their rule do: marks end words, and texts are not normalised.

    >>> split_words_by_the_first_rule("He\u2019s नमस्ते")
    ["he's", 'नमस', '\u094d', 'त', '\u0947']
    """
    return _FIRST_RULE_TOKEN.findall(ascii_quotes(text).lower())


#: Number of a rule → the function that splits by it. A saved vocabulary keeps its rule, so old models give the same
#: ids. A new model gets the rule with the highest number.
RULES: Mapping[int, Callable[[str], list[str]]] = {1: split_words_by_the_first_rule, 2: split_words}


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
        self.rule = max(RULES)
        self._ids: dict[str, int] | None = None

    def fit(self, dialogues: Sequence[Dialogue]) -> "WordIds":
        """Take the vocabulary from train. Words with equal counts are in alphabetical order.

        So the vocabulary does not depend on the order of the dialogues.

        Raises:
            FeatureError: no utterance has a text.
        """
        counts: Counter[str] = Counter()
        for turn in utterances(dialogues):
            counts.update(RULES[self.rule](turn.text or ""))
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
            words = RULES[self.rule](turn.text)[: self.max_length]
            rows[turn.id] = np.array([ids.get(word, UNKNOWN_ID) for word in words] or [UNKNOWN_ID], dtype=np.int64)
        return rows

    def note_on(self, dialogues: Sequence[Dialogue]) -> str | None:
        """Return a sentence with numbers and a remedy if most words of these dialogues are unknown; else None."""
        ids = self._fitted()
        counts: Counter[str] = Counter()
        for turn in utterances(dialogues):
            counts.update(word for word in RULES[self.rule](turn.text or "") if _WORD_CHARACTER.search(word))
        unknown = {word: n for word, n in counts.items() if word not in ids}
        if 2 * sum(unknown.values()) <= counts.total():
            return None
        examples = ", ".join(repr(word) for word, _ in Counter(unknown).most_common(3))
        n_unknown = sum(unknown.values())
        return (
            f"{n_unknown:,} of {counts.total():,} words are unknown: the vocabulary, which comes from train, does not "
            f"have them (e.g. {examples}), and the model cannot tell them apart; use an encoder that knows words "
            "without train (hf-text with a model of this language, minilm for English), or put spaces between the "
            "words if the texts have none"
        )

    def state(self) -> dict[str, Any]:
        """Return the options, the words and the number of the rule that splits texts, as values for JSON."""
        options = {name: getattr(self, name) for name in self.OPTIONS}
        state = {"options": options, "words": list(self.words)}
        return state if self.rule == 1 else {**state, "rule": self.rule}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "WordIds":
        """Return the saved tokenizer; it has no files.

        Raises:
            CheckpointError: the state is incomplete, repeats a word or has a rule of a newer version.
        """
        rule = state.get("rule", 1)
        if rule not in RULES:
            raise CheckpointError(
                f"words: the saved vocabulary has the rule {rule!r}, and this version knows the rules "
                f"{', '.join(map(str, RULES))}; install the version of dialogue-ser that saved the model"
            )
        try:
            words = construct("words", cls, state["options"])
            ids = {str(word): index + _N_SPECIAL for index, word in enumerate(state["words"])}
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(
                f"words: the saved vocabulary cannot be read ({error!r}); save the model again"
            ) from None
        if len(ids) != len(state["words"]):
            raise CheckpointError("words: the saved vocabulary repeats a word; save the model again")
        words.rule, words._ids = rule, ids
        return words

    def _fitted(self) -> dict[str, int]:
        if self._ids is None:
            raise FeatureError("words: fit the vocabulary on the training dialogues first")
        return self._ids
