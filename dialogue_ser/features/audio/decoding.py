"""Decode the audio of utterances, and collect all clips that cannot be used in one error."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import MediaError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.bad_clips import OnBad, bad_clip_problem, raise_if_bad
from dialogue_ser.media.decode import decode
from dialogue_ser.media.effects import apply_effects
from dialogue_ser.media.levels import LevelWarning

logger = logging.getLogger(__name__)

#: Each process warns about this many clips of one kind. A corpus can have thousands of them.
MOST_WARNINGS = 3
_n_warnings: Counter[str] = Counter()


@dataclass(frozen=True)
class DecodedTurns:
    """The waveforms of utterances that have audio.

    Args:
        ids: utterance ids, one per waveform.
        waveforms: mono float32 samples of each utterance.
        sample_rate_hz: sample rate of all waveforms in Hz.
        problems: one sentence for each clip that cannot be used.
    """

    ids: list[str]
    waveforms: list[Array]
    sample_rate_hz: int
    problems: list[str]


def decode_turn(turn: Utterance, sample_rate_hz: int) -> Array:
    """Return the mono float32 samples of one utterance, with the effects of its audio reference applied.

    It logs a warning if the sound is far too loud, or if its channels cancel each other. It does so for the first clips
    only; ``dialogue-ser data check`` counts all.

    Args:
        turn: an utterance that has audio.
        sample_rate_hz: sample rate of the result in Hz.

    Raises:
        MediaError: the clip cannot be decoded, e.g. because the file is missing, truncated or without samples.
    """
    assert turn.audio is not None
    audio = turn.audio
    waveform = decode(audio.path, audio.start_seconds, audio.end_seconds, sample_rate_hz=sample_rate_hz)
    if waveform.warnings:
        _warn(turn, waveform.warnings)
    if audio.effects is None:
        return waveform.samples
    try:
        return apply_effects(waveform.samples, sample_rate_hz, audio.effects)
    except MediaError as error:
        raise MediaError(f"{audio.path}: {error}") from None


def _warn(turn: Utterance, warnings: Iterable[LevelWarning]) -> None:
    for warning in warnings:
        _n_warnings[warning.kind] += 1
        if _n_warnings[warning.kind] <= MOST_WARNINGS:
            logger.warning("%s", bad_clip_problem(turn, warning.text))
        elif _n_warnings[warning.kind] == MOST_WARNINGS + 1:
            logger.warning("more clips are like this; 'dialogue-ser data check' counts them")


def decode_turns(turns: Sequence[Utterance], sample_rate_hz: int) -> DecodedTurns:
    """Return the waveforms of all utterances whose audio can be decoded.

    Utterances without audio are left out. The result also has one problem for each clip that cannot be decoded; give
    its ``problems`` to :func:`raise_if_bad`.
    """
    decoded = DecodedTurns([], [], sample_rate_hz, [])
    for turn in turns:
        if turn.audio is None:
            continue
        try:
            samples = decode_turn(turn, sample_rate_hz)
        except MediaError as error:
            decoded.problems.append(bad_clip_problem(turn, str(error)))
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
    """Return one row for every utterance that has audio, by utterance id; the clips are encoded one after the other.

    Args:
        dialogues: dialogues with the utterances to encode.
        row_of: function that gives the row of one utterance. It raises MediaError if the clip cannot be used.
        on_bad: ``error`` raises an error if clips cannot be used, ``mask`` leaves them out.
        on_progress: called with 1 after each clip.

    Raises:
        BadClipsError: ``on_bad`` is ``error`` and clips cannot be used. The error names all of them and has the rows of
            the other clips.
    """
    rows: dict[str, Array] = {}
    problems: list[str] = []
    for turn in utterances(dialogues):
        if turn.audio is None:
            continue
        try:
            rows[turn.id] = row_of(turn)
        except MediaError as error:
            problems.append(bad_clip_problem(turn, str(error)))
        if on_progress is not None:
            on_progress(1)
    raise_if_bad(problems, on_bad, rows)
    return rows
