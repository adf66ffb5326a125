"""Token sequences in which a turn stands between earlier and later turns of its dialogue."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError

Tokenise = Callable[[list[str]], list[list[int]]]
"""Function from texts to their token ids without special tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnWindow:
    """Which neighbours are read together with a turn.

    Args:
        past: number of earlier turns of its dialogue.
        future: number of later turns; 0 is causal.
        speakers: True to write every turn as ``Speaker: text``.

    Raises:
        ConfigError: a number of turns is negative.
    """

    past: int = 0
    future: int = 0
    speakers: bool = False

    def __post_init__(self) -> None:
        if self.past < 0 or self.future < 0:
            raise ConfigError(f"context_past {self.past} and context_future {self.future} must be at least 0")

    @property
    def is_used(self) -> bool:
        """False if only the text of the turn itself is read, without neighbours and names."""
        return self.speakers or self.past > 0 or self.future > 0

    @property
    def is_causal(self) -> bool:
        """True if no later turn is read."""
        return self.future == 0

    def describe(self) -> dict[str, Any]:
        """Return the settings as values for a fingerprint."""
        return {**asdict(self), "causal": self.is_causal}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecialTokens:
    """The special tokens around a text, and between a turn and its neighbours.

    Args:
        prefix: ids before a text, e.g. [CLS].
        suffix: ids after a text, e.g. [SEP].
        between: ids between the turn itself and its neighbours.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    between: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any) -> "SpecialTokens":
        """Return the special tokens of a transformers tokenizer.

        The ids between turns are its separator. If it has none, they are its end-of-sequence token, or nothing.
        """
        probe = tokenizer("a", return_special_tokens_mask=True)
        ids, is_special = list(probe["input_ids"]), [bool(flag) for flag in probe["special_tokens_mask"]]
        n_before = is_special.index(False) if False in is_special else len(ids)
        n_behind = is_special[::-1].index(False) if False in is_special else 0
        separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        return cls(
            prefix=tuple(ids[:n_before]),
            suffix=tuple(ids[len(ids) - n_behind :]),
            between=() if separator is None else (int(separator),),
        )


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """The token sequence of one turn.

    Args:
        ids: token ids of the whole sequence, with special tokens.
        start: position of the first of the turn's own tokens.
        stop: position after the last of them. There is always at least one.
    """

    ids: list[int]
    start: int
    stop: int


def turn_sequences(
    dialogues: Sequence[Dialogue],
    window: TurnWindow,
    tokenise: Tokenise,
    special: SpecialTokens,
    max_tokens: int,
    prepare: Callable[[str], str] = str,
) -> dict[str, TurnTokens]:
    """Return the sequence ``prefix past between turn between future suffix`` of every utterance that has a text.

    Own choices, after EmoBERTa (Kim and Vossen 2021): separators around the turn show the model which turn is meant.
    The turn's own tokens do not include the speaker's name. No marker tokens are added, because a frozen model does not
    know them, and weights for a larger vocabulary would not fit other models. If a sequence is longer than
    ``max_tokens``, tokens are cut at the far ends, on the longer side first. The turn itself is cut last, at its end. A
    neighbour without a text adds no tokens but counts as a turn of the window.

    Args:
        dialogues: whole dialogues; no sequence goes beyond its dialogue.
        window: the neighbours to read.
        tokenise: function from texts to ids. It gets every turn once.
        special: special tokens around the sequence and between the turn and its neighbours.
        max_tokens: largest length of a sequence, with special tokens.
        prepare: function that is applied to every text and name first.

    Raises:
        ConfigError: ``max_tokens`` leaves no room for a turn.
    """
    room = _room_for_turns(max_tokens, special)
    names, texts = _tokenised_turns(dialogues, window, tokenise, prepare)
    sequences: dict[str, TurnTokens] = {}
    for dialogue in dialogues:
        turns = list(dialogue)
        named = [names[turn.id] + texts[turn.id] if turn.text is not None else [] for turn in turns]
        for i, turn in enumerate(turns):
            if turn.text is None:
                continue
            past = list(chain.from_iterable(named[max(i - window.past, 0) : i]))
            future = list(chain.from_iterable(named[i + 1 : i + 1 + window.future]))
            sequence = _sequence(past, names[turn.id], texts[turn.id], future, special, room)
            if sequence is not None:
                sequences[turn.id] = sequence
    return sequences


def _room_for_turns(max_tokens: int, special: SpecialTokens) -> int:
    """Return how many tokens of a sequence can be those of turns.

    Raises:
        ConfigError: there is no room.
    """
    room = max_tokens - len(special.prefix) - len(special.suffix) - 2 * len(special.between)
    if room < 1:
        raise ConfigError(
            f"max_tokens {max_tokens} leaves no room for a turn; set it to at least {max_tokens - room + 1}"
        )
    return room


def _tokenised_turns(
    dialogues: Sequence[Dialogue], window: TurnWindow, tokenise: Tokenise, prepare: Callable[[str], str]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return the token ids of the speaker's name and of the text, each by utterance id; names only if they are read."""
    # Texts begin with a space, because byte-level tokenizers mark a word inside a text by it. Others ignore it.
    names = {turn.id: f" {prepare(turn.speaker)}:" if window.speakers else "" for turn in utterances(dialogues)}
    texts = {turn.id: f" {prepare(turn.text or '')}" for turn in utterances(dialogues)}
    distinct = list(dict.fromkeys([*names.values(), *texts.values()]))
    ids_of = dict(zip(distinct, tokenise(distinct), strict=True)) | {"": []}
    return {key: ids_of[name] for key, name in names.items()}, {key: ids_of[text] for key, text in texts.items()}


def _sequence(
    past: list[int], name: list[int], text: list[int], future: list[int], special: SpecialTokens, room: int
) -> TurnTokens | None:
    """Return one turn's sequence, or None if it has no tokens at all."""
    own = (name + text)[:room]
    past, future = _nearest_tokens(past, future, room - len(own))
    before = [*special.prefix, *past, *(special.between if past else ())]
    after = [*(special.between if future else ()), *future, *special.suffix]
    ids = before + own + after
    n_name = len(name) if len(own) > len(name) else 0  # a turn without words has only the tokens of the name
    start, stop = len(before) + n_name, len(before) + len(own)
    if not own:
        start, stop = 0, len(ids)
    return TurnTokens(ids, start, stop) if ids else None


def _nearest_tokens(past: list[int], future: list[int], room: int) -> tuple[list[int], list[int]]:
    """Return the tokens of both sides that are nearest to the turn and fit into the room.

    Each side gets half of the room. If one side needs less than half, the other side gets the rest.

    >>> _nearest_tokens([1, 2, 3, 4], [5, 6, 7], 4), _nearest_tokens([1, 2, 3, 4], [5], 4)
    (([3, 4], [5, 6]), ([2, 3, 4], [5]))
    """
    n_past = min(len(past), max(room - len(future), (room + 1) // 2))
    n_future = min(len(future), room - n_past)
    return past[len(past) - n_past :], future[:n_future]
