"""The input strings of EmoBERTa: a turn between earlier and later turns, with names of the speakers.

Source: Kim and Vossen (2021), "EmoBERTa: Speaker-Aware Emotion Recognition in Conversation with RoBERTa", and its
published code. The string is tokenised as one text; the tokenizer reads ``</s></s>`` as special tokens.
"""

import re
from collections.abc import Sequence
from typing import Literal

from dialogue_ser.errors import ConfigError

SpeakerMode = Literal["upper", "title", "none"]
SPEAKER_MODES = ("upper", "title", "none")
SEPARATOR = "</s></s>"
#: First names of the speakers of IEMOCAP by session: female, male.
_IEMOCAP = {
    "Ses01": ("Mary", "James"),
    "Ses02": ("Patricia", "John"),
    "Ses03": ("Jennifer", "Robert"),
    "Ses04": ("Linda", "Michael"),
    "Ses05": ("Elizabeth", "William"),
}


def first_name(session: str, sex: str) -> str:
    """Return the name that stands for a speaker of IEMOCAP.

    Args:
        session: ``Ses01`` to ``Ses05``.
        sex: female or male, or its first letter, in any case.

    Raises:
        ConfigError: there is no such session or sex.

    >>> first_name("Ses03", "Female")
    'Jennifer'
    """
    letter = sex[:1].lower()
    if session not in _IEMOCAP or letter not in ("f", "m"):
        raise ConfigError(
            f"speaker {session!r}, {sex!r}: is not of IEMOCAP; expected a session from Ses01 to Ses05 and a sex"
        )
    return _IEMOCAP[session]["fm".index(letter)]


def name_of(speaker: str) -> str:
    """Return the name that is written for a speaker: of IEMOCAP (``Ses01F``) a first name, else the speaker itself.

    >>> name_of("Ses01M"), name_of("Ses05|Female"), name_of("Ross")
    ('James', 'Elizabeth', 'Ross')
    """
    found = re.fullmatch(r"(Ses0[1-5])[|_ ]?(f|m|female|male)", speaker, re.IGNORECASE)
    return speaker if found is None else first_name(found[1].title(), found[2])


def turn_text(speaker: str, utterance: str, mode: SpeakerMode) -> str:
    """Return the text of one turn: the utterance without spaces around it, behind the speaker's name.

    Raises:
        ConfigError: the mode is unknown.

    >>> turn_text("dr. Green", " Hi! ", "upper"), turn_text("dr. Green", " Hi! ", "none")
    ('DR. GREEN: Hi!', 'Hi!')
    """
    if mode not in SPEAKER_MODES:
        raise ConfigError(f"speakers: found {mode!r}, expected one of {', '.join(SPEAKER_MODES)}")
    if mode == "none":
        return utterance.strip()
    return f"{speaker.upper() if mode == 'upper' else speaker.title()}: {utterance.strip()}"


def chosen_neighbours(
    token_counts: Sequence[int], turn: int, *, past: int, future: int, max_tokens: int
) -> tuple[range, range]:
    """Return the earlier and the later turns that are read together with a turn.

    They are added in pairs: the nearest earlier turn, the nearest later turn, the second earlier turn, … The first turn
    that would make the sum of the tokens larger than ``max_tokens`` ends the choice on both sides.

    Args:
        token_counts: tokens of each turn of the dialogue, with the two special tokens of a text.
        turn: position of the turn.
        past: largest number of earlier turns.
        future: largest number of later turns.
        max_tokens: largest sum of the tokens of all chosen turns.

    Raises:
        ConfigError: a number is out of range.

    >>> chosen_neighbours([5, 5, 5, 5], 1, past=9, future=9, max_tokens=15)
    (range(0, 1), range(2, 3))
    """
    if past < 0 or future < 0 or max_tokens < 1:
        raise ConfigError(
            f"num_past {past} and num_future {future} must be at least 0, and max_tokens {max_tokens} at least 1"
        )
    first, last, total = turn, turn, token_counts[turn]
    for distance in range(1, min(max(past, future), len(token_counts)) + 1):
        for position, is_wanted in ((turn - distance, distance <= past), (turn + distance, distance <= future)):
            if not is_wanted or not 0 <= position < len(token_counts):
                continue
            total += token_counts[position]
            if total > max_tokens:
                return range(first, turn), range(turn + 1, last + 1)
            first, last = min(first, position), max(last, position)
    return range(first, turn), range(turn + 1, last + 1)


def input_strings(
    texts: Sequence[str],
    token_counts: Sequence[int],
    *,
    past: int,
    future: int,
    max_tokens: int = 512,
    separator: str = SEPARATOR,
) -> list[str]:
    """Return the input string of every turn of a dialogue.

    A side that is asked for keeps its separator, also where the dialogue has no turn on it.

    Args:
        texts: text of each turn (:func:`turn_text`).
        token_counts: tokens of each text, with its two special tokens.
        past: largest number of earlier turns.
        future: largest number of later turns.
        max_tokens: largest sum of the tokens of the turns of one string.
        separator: text between the turn and a side.

    Raises:
        ConfigError: a number is out of range, or there are not as many counts as texts.

    >>> input_strings(["a", "b", "c"], [3, 3, 3], past=1, future=0)
    ['</s></s>a', 'a</s></s>b', 'b</s></s>c']
    """
    if len(texts) != len(token_counts):
        raise ConfigError(f"found {len(token_counts)} token counts for {len(texts)} turns; give one for each turn")
    strings = []
    for turn, text in enumerate(texts):
        before, after = chosen_neighbours(token_counts, turn, past=past, future=future, max_tokens=max_tokens)
        earlier = [" ".join(texts[i] for i in before)] if past else []
        later = [" ".join(texts[i] for i in after)] if future else []
        strings.append(separator.join([*earlier, text, *later]))
    return strings
