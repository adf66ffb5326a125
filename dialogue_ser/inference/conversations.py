"""Turn the input of ``predict`` into dialogues. It is Dialogue objects, or turns written as pairs or mappings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance
from dialogue_ser.errors import CorpusError, unknown_name

Turn: TypeAlias = tuple[str, str | None] | Mapping[str, Any]
Conversation: TypeAlias = Sequence[Turn]
Dialogues: TypeAlias = Dialogue | Sequence[Dialogue] | Conversation | Sequence[Conversation]

TURN_KEYS = ("speaker", "text", "audio", "start_seconds", "end_seconds")
_EXPECTED = "expected (speaker, text), or a mapping with speaker, text and/or audio"


def as_dialogues(given: Dialogues) -> tuple[Dialogue, ...]:
    """Return the input of ``predict`` as dialogues.

    Args:
        given: one Dialogue or several; one conversation (a list of turns); or several conversations (a list of lists).
            A turn is a pair (speaker, text) or a mapping with the keys of TURN_KEYS. Its ``audio`` is a path or an
            AudioRef.

    Raises:
        CorpusError: the input is empty, an utterance id occurs twice, or something is not a turn. The message names
            all problems.

    >>> [dialogue] = as_dialogues([("Ross", "Hi."), {"speaker": "Joey", "text": "Hey!"}])
    >>> dialogue.speakers, dialogue.utterances[1].id
    (('Ross', 'Joey'), 'new/dia0_utt1')
    """
    if isinstance(given, Dialogue):
        return (given,)
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise CorpusError(
            f"predict: found {_shortened(given)}, expected dialogues or a list of turns; for a turn {_EXPECTED}"
        )
    items: Sequence[Any] = given
    if not items:
        raise CorpusError("predict: the list of dialogues is empty; give at least one turn")
    if any(isinstance(item, Dialogue) for item in items):
        return _check_dialogues(items)
    # A list of turns is one conversation. A list whose items are all lists of turns is several conversations.
    conversations = [items] if not all(_is_conversation(item) for item in items) else list(items)
    problems: list[str] = []
    dialogues = tuple(_dialogue(number, turns, problems) for number, turns in enumerate(conversations))
    if problems:
        raise CorpusError(*problems)
    return tuple(dialogue for dialogue in dialogues if dialogue is not None)


def _check_dialogues(items: Sequence[Any]) -> tuple[Dialogue, ...]:
    """Check that all items are dialogues and that no utterance id occurs twice."""
    problems = [
        f"predict item {number}: found {_shortened(item)} among Dialogue objects; give either Dialogue objects or "
        "conversations"
        for number, item in enumerate(items)
        if not isinstance(item, Dialogue)
    ]
    seen: set[str] = set()
    for turn in (turn for item in items if isinstance(item, Dialogue) for turn in item):
        if turn.id in seen:
            problems.append(f"predict: utterance id {turn.id!r} occurs twice; give every utterance another id")
        seen.add(turn.id)
    if problems:
        raise CorpusError(*problems)
    return tuple(items)


def _is_turn(item: object) -> bool:
    is_pair = isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2 and isinstance(item[0], str)
    return is_pair or isinstance(item, Mapping)


def _is_conversation(item: object) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, str) and not _is_turn(item)


def _dialogue(number: int, turns: Sequence[Any], problems: list[str]) -> Dialogue | None:
    if not turns:
        problems.append(f"predict dialogue {number}: has no turn; give it at least one turn, or remove it")
        return None
    n_before = len(problems)
    found = tuple(_utterance(f"dia{number}_utt{index}", turn, problems) for index, turn in enumerate(turns))
    return Dialogue(f"new/dia{number}", found) if len(problems) == n_before else None


def _utterance(name: str, turn: object, problems: list[str]) -> Utterance:
    fields: Mapping[str, Any] = {}
    if isinstance(turn, Mapping):
        fields = turn
    elif _is_turn(turn):
        assert isinstance(turn, Sequence)
        fields = {"speaker": turn[0], "text": turn[1]}
    else:
        problems.append(f"predict turn {name}: found {_shortened(turn)}, {_EXPECTED}")
    problems += [f"predict turn {name}: {unknown_name('key', str(k), TURN_KEYS)}" for k in fields if k not in TURN_KEYS]
    speaker, text, audio = fields.get("speaker", "speaker"), fields.get("text"), fields.get("audio")
    wanted = (("speaker", speaker, str), ("text", text, str | None), ("audio", audio, str | Path | AudioRef | None))
    problems += [
        f"predict turn {name}: {key} is {_shortened(value)}; {_EXPECTED}"
        for key, value, kind in wanted
        if not isinstance(value, kind)
    ]
    if fields and text is None and audio is None:
        problems.append(f"predict turn {name}: has neither text nor audio; give one of them")
    if isinstance(audio, (str, Path)):
        audio = AudioRef(Path(audio), fields.get("start_seconds"), fields.get("end_seconds"))
    return Utterance(id=f"new/{name}", speaker=str(speaker), text=text, audio=audio, origin=f"predict turn {name}")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
