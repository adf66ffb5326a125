"""Decoding many utterances at once, with one error for all clips that cannot be used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import MediaError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.bad_clips import OnBad, problem_of, raise_if_bad
from dialogue_ser.media.decode import decode
from dialogue_ser.media.effects import apply_effects


@dataclass(frozen=True)
class DecodedTurns:
    """Sound of the utterances that have some.

    Args:
        ids: utterance ids, one per waveform.
        waveforms: mono float32 samples.
        sample_rate_hz: of all of them.
        problems: one sentence per clip that cannot be used.
    """

    ids: list[str]
    waveforms: list[Array]
    sample_rate_hz: int
    problems: list[str]


def decode_turn(turn: Utterance, sample_rate_hz: int) -> Array:
    """Mono float32 samples of one utterance at a rate, changed by its effects if it has any.

    Raises:
        MediaError: no such file, truncated, no samples, …
    """
    assert turn.audio is not None
    audio = turn.audio
    waveform = decode(audio.path, audio.start_seconds, audio.end_seconds, sample_rate_hz=sample_rate_hz)
    if audio.effects is None:
        return waveform.samples
    try:
        return apply_effects(waveform.samples, sample_rate_hz, audio.effects)
    except MediaError as error:
        raise MediaError(f"{audio.path}: {error}") from None


def decode_turns(turns: Sequence[Utterance], sample_rate_hz: int) -> DecodedTurns:
    """Waveforms of every utterance with audio that can be decoded; hand ``problems`` to :func:`raise_if_bad`.

    Turns without an audio reference are left out silently.
    """
    decoded = DecodedTurns([], [], sample_rate_hz, [])
    for turn in turns:
        if turn.audio is None:
            continue
        try:
            samples = decode_turn(turn, sample_rate_hz)
        except MediaError as error:
            decoded.problems.append(problem_of(turn, str(error)))
            continue
        decoded.ids.append(turn.id)
        decoded.waveforms.append(samples)
    return decoded


def rows_of_clips(
    dialogues: Sequence[Dialogue],
    row_of: Callable[[Utterance], Array],
    on_bad: OnBad,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Array]:
    """A row for every utterance with audio, one clip after the other; those that cannot be used are left out or told.

    Args:
        dialogues: whose utterances are wanted.
        row_of: the row of one utterance; raises MediaError where its clip cannot be used.
        on_bad: error, or mask such clips.
        on_progress: called with 1 for every clip.

    Raises:
        BadClipsError: ``on_bad`` is ``error`` and clips cannot be used; names all of them, has the others' rows.
    """
    rows: dict[str, Array] = {}
    problems: list[str] = []
    for turn in utterances(dialogues):
        if turn.audio is None:
            continue
        try:
            rows[turn.id] = row_of(turn)
        except MediaError as error:
            problems.append(problem_of(turn, str(error)))
        if on_progress is not None:
            on_progress(1)
    raise_if_bad(problems, on_bad, rows)
    return rows
