"""A turn within its dialogue as one token sequence: past turns, the turn itself, future turns, "Speaker: text" each."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError

Tokenise = Callable[[list[str]], list[list[int]]]
"""Texts to token ids without special tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnWindow:
    """Which neighbours a turn is read with.

    Args:
        past: earlier turns of its dialogue.
        future: later turns; 0 = causal.
        speakers: write every turn as ``Speaker: text``.

    Raises:
        ConfigError: a negative number of turns.
    """

    past: int = 0
    future: int = 0
    speakers: bool = False

    def __post_init__(self) -> None:
        if self.past < 0 or self.future < 0:
            raise ConfigError(f"context_past {self.past} and context_future {self.future} must be at least 0")

    @property
    def is_used(self) -> bool:
        """False if each utterance is read alone, as its bare text."""
        return self.speakers or self.past > 0 or self.future > 0

    @property
    def is_causal(self) -> bool:
        """True if no later turn is read."""
        return self.future == 0

    def describe(self) -> dict[str, Any]:
        """For fingerprints."""
        return {**asdict(self), "causal": self.is_causal}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecialTokens:
    """What a tokenizer puts around a text, and what separates the turn from its neighbours.

    Args:
        prefix: ids before a text, e.g. [CLS].
        suffix: ids behind it, e.g. [SEP].
        between: ids before and behind the turn itself where neighbours stand there.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    between: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any) -> "SpecialTokens":
        """As a transformers tokenizer has them; the separator is its own, else its end of sequence, else none."""
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
    """One turn's sequence.

    Args:
        ids: tokens with the special ones.
        start: first of the turn's own tokens.
        stop: one past the last; there is always at least one.
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
    """``prefix past between turn between future suffix`` for every utterance that has a text.

    Own choices, after EmoBERTa (Kim and Vossen 2021): the turn stands between separators, so that a model can see which
    turn is meant, and it is found again by its own tokens, the speaker's name not counted. No marker tokens are
    added: a frozen model would read them as noise, and a vocabulary that grows fits nobody else's weights.
    What exceeds ``max_tokens`` is cut from the far ends, the longer side first; the turn itself is cut last, at its
    end. A neighbour without a text is left out but counts as a turn of the window.

    Args:
        dialogues: whole ones; a window ends where its dialogue ends.
        window: neighbours to read.
        tokenise: texts to ids; every turn is tokenised once.
        special: around and between.
        max_tokens: of a sequence, special tokens included.
        prepare: applied to every text and name first.

    Raises:
        ConfigError: ``max_tokens`` leaves no room for a turn.
    """
    room = max_tokens - len(special.prefix) - len(special.suffix) - 2 * len(special.between)
    if room < 1:
        raise ConfigError(
            f"max_tokens {max_tokens} leaves no room for a turn; set it to at least {max_tokens - room + 1}"
        )
    # A space in front: byte-level tokenizers know a word inside a text by it, others drop it.
    names = {turn.id: f" {prepare(turn.speaker)}:" if window.speakers else "" for turn in utterances(dialogues)}
    texts = {turn.id: f" {prepare(turn.text or '')}" for turn in utterances(dialogues)}
    distinct = list(dict.fromkeys([*names.values(), *texts.values()]))
    ids_of = dict(zip(distinct, tokenise(distinct), strict=True)) | {"": []}
    name_of = {key: ids_of[name] for key, name in names.items()}
    text_of = {key: ids_of[text] for key, text in texts.items()}
    sequences: dict[str, TurnTokens] = {}
    for dialogue in dialogues:
        turns = list(dialogue)
        whole = [name_of[turn.id] + text_of[turn.id] if turn.text is not None else [] for turn in turns]
        for place, turn in enumerate(turns):
            if turn.text is None:
                continue
            past = [i for ids in whole[max(place - window.past, 0) : place] for i in ids]
            future = [i for ids in whole[place + 1 : place + 1 + window.future] for i in ids]
            found = _sequence(past, name_of[turn.id], text_of[turn.id], future, special, room)
            if found is not None:
                sequences[turn.id] = found
    return sequences


def _sequence(
    past: list[int], name: list[int], text: list[int], future: list[int], special: SpecialTokens, room: int
) -> TurnTokens | None:
    own = (name + text)[:room]
    past, future = _cut(past, future, room - len(own))
    before = [*special.prefix, *past, *(special.between if past else ())]
    behind = [*(special.between if future else ()), *future, *special.suffix]
    ids = before + own + behind
    n_name = len(name) if len(own) > len(name) else 0  # of a turn without words the name is all there is
    start, stop = len(before) + n_name, len(before) + len(own)
    if not own:
        start, stop = 0, len(ids)
    return TurnTokens(ids, start, stop) if ids else None


def _cut(past: list[int], future: list[int], room: int) -> tuple[list[int], list[int]]:
    """The nearest tokens of both sides that fit; a side that needs less than half leaves the rest to the other.

    >>> _cut([1, 2, 3, 4], [5, 6, 7], 4), _cut([1, 2, 3, 4], [5], 4)
    (([3, 4], [5, 6]), ([2, 3, 4], [5]))
    """
    n_past = min(len(past), max(room - len(future), (room + 1) // 2))
    n_future = min(len(future), room - n_past)
    return past[len(past) - n_past :], future[:n_future]
