"""The key of an utterance in the store: a hash of everything that its features depend on."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import MediaError
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.media.effects import describe_effects
from dialogue_ser.media.hashing import file_sha256


def fingerprint_digest(name: str, kind: str, fingerprint: Mapping[str, Any]) -> str:
    """Return 16 hex digits. They end the name of the encoder's folder in the store."""
    text = json.dumps([name, kind, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def content_keys(dialogues: Sequence[Dialogue], traits: EncoderTraits) -> dict[str, str | None]:
    """Return the key of every utterance by its id; None if the audio cannot be read, so that nothing can be stored.

    The key covers the fields that the encoder reads, for every turn in its context window, and the position of the
    turn in this window.
    """
    keys: dict[str, str | None] = {}
    for dialogue in dialogues:
        contents = [_content_of(turn, traits) for turn in dialogue]
        for position, turn in enumerate(dialogue):
            if contents[position] is None:
                keys[turn.id] = None
                continue
            past, future = (len(dialogue), len(dialogue)) if traits.context == "dialogue" else traits.context
            first = max(position - past, 0)
            window = contents[first : position + future + 1]
            text = json.dumps([position - first, window], ensure_ascii=True)
            keys[turn.id] = hashlib.sha256(text.encode()).hexdigest()
    return keys


def _content_of(turn: Utterance, traits: EncoderTraits) -> list[Any] | None:
    """Return the fields of one turn that the encoder reads, or None if the audio file cannot be read."""
    values: list[Any] = []
    for field in traits.reads:
        if field == "audio" and turn.audio is not None:
            try:
                digest = file_sha256(turn.audio.path)
            except (MediaError, OSError):
                return None
            effects = [] if turn.audio.effects is None else [describe_effects(turn.audio.effects)]
            values.append([digest, turn.audio.start_seconds, turn.audio.end_seconds, *effects])
        else:
            values.append(getattr(turn, field))
    return values


def dialogues_in_pieces(
    dialogues: Sequence[Dialogue], wanted: set[str], *, needs_context: bool, n_utterances: int
) -> Iterator[list[Dialogue]]:
    """Yield lists of dialogues with about ``n_utterances`` each; together they contain the wanted utterances.

    If the encoder needs context, the dialogues stay whole. Otherwise they contain only the wanted turns.
    """
    piece: list[Dialogue] = []
    n = 0
    for dialogue in dialogues:
        turns = tuple(turn for turn in dialogue if turn.id in wanted)
        if not turns:
            continue
        piece.append(dialogue if needs_context else Dialogue(dialogue.id, turns))
        n += len(piece[-1])
        if n >= n_utterances:
            yield piece
            piece, n = [], 0
    if piece:
        yield piece
