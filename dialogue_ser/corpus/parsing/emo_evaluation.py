"""Files of IEMOCAP's release: evaluations (who was heard to feel what, and when) and transcripts of a dialogue."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dialogue_ser.corpus.schema import VAD
from dialogue_ser.errors import CorpusError, unknown_name

#: Emotion as an evaluation's first line spells it → class; ``xxx`` is no majority.
CODES: Mapping[str, str | None] = {
    "ang": "anger", "dis": "disgust", "exc": "excited", "fea": "fear", "fru": "frustrated", "hap": "happy",
    "neu": "neutral", "oth": "other", "sad": "sad", "sur": "surprise", "xxx": None,
}  # fmt: skip
#: Emotion as an annotator's line spells it, in lower case → class.
WORDS: Mapping[str, str] = {
    "anger": "anger", "disgust": "disgust", "excited": "excited", "fear": "fear", "frustration": "frustrated",
    "happiness": "happy", "neutral": "neutral", "neutral state": "neutral", "other": "other", "sadness": "sad",
    "surprise": "surprise",
}  # fmt: skip

# Ses01F_impro01_F000: session, who wore the markers, scene, who speaks.
_TURN = re.compile(r"(?P<dialogue>Ses\d\d[FM]_\w+)_(?P<speaker>[FM])(?P<number>\w+)")
_NUMBER = r"\s*(-?\d+(?:\.\d*)?)\s*"
_SUMMARY = re.compile(rf"\[{_NUMBER}-{_NUMBER}\]\s*(\S+)\s+(\S+)")
_RATING = r"\s*([^\s,\]]*)\s*"
_RATINGS = re.compile(rf"\[{_RATING},{_RATING},{_RATING}\]")
_NO_RATINGS = ("", "nan")
_VOTE = re.compile(r"C-E\w*:([^(]*)")
_TRANSCRIPT = re.compile(r"(\S+)\s*\[[^\]]*\]\s*:?(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was said of one turn.

    Args:
        turn: its name, e.g. ``Ses01F_impro01_F000``.
        speaker: F or M, who speaks in it.
        start_seconds: inside the dialogue.
        end_seconds: inside the dialogue.
        majority: class of the release, or None where it states that there is none.
        choices: the classes each annotator named. Actors' votes on themselves (C-F1, C-M1) are not among them, as they
            do not count for the majority.
        ratings: the annotators' mean valence, arousal (the release says activation) and dominance, as the summary line
            states them; one that is blank or ``nan`` there is missing here. Their scale is not checked.
        origin: file and line.
    """

    turn: str
    speaker: str
    start_seconds: float
    end_seconds: float
    majority: str | None
    choices: tuple[tuple[str, ...], ...]
    ratings: Mapping[str, float]
    origin: str


def read_evaluations(
    path: Path, encoding: str, problems: list[str], unknown_votes: list[str]
) -> tuple[Evaluation, ...]:
    """The turns of ``dialog/EmoEvaluation/DIALOGUE.txt`` in the order they begin: they overlap.

    Lines that begin with ``[`` are turns, ``C-E…`` lines an annotator's choice; all others are no concern here.

    Args:
        path: the file; its name is the dialogue's.
        encoding: of the file.
        problems: receives a sentence per line that cannot be read.
        unknown_votes: receives the origin and word of each vote that is no emotion of the corpus; it does not count.
    """
    n_before = len(problems)
    blocks: list[tuple[str, str, list[tuple[str, ...]]]] = []
    for origin, line in _lines(path, encoding, problems):
        vote = _VOTE.match(line)
        if line.startswith("["):
            blocks.append((origin, line, []))
        elif vote is not None and blocks:
            blocks[-1][2].append(_choice(vote[1], origin, unknown_votes))
    if not blocks and len(problems) == n_before:
        problems.append(f"{_place(path)}: holds no turn; replace it by the release's file")
    turns = (_turn(line, path.stem, choices, origin, problems) for origin, line, choices in blocks)
    return tuple(sorted(filter(None, turns), key=lambda turn: (turn.start_seconds, turn.end_seconds, turn.turn)))


def read_transcript(path: Path, encoding: str, problems: list[str]) -> dict[str, str]:
    """Turn → what was said, from ``dialog/transcriptions/DIALOGUE.txt``; lines that name no turn are passed over.

    Args:
        path: the file.
        encoding: of the file.
        problems: receives a sentence per line that cannot be read.
    """
    matches = (_TRANSCRIPT.fullmatch(line) for _, line in _lines(path, encoding, problems))
    return {match[1]: match[2].strip() for match in matches if match is not None and _TURN.fullmatch(match[1])}


def _turn(
    line: str, dialogue: str, choices: Sequence[tuple[str, ...]], origin: str, problems: list[str]
) -> Evaluation | None:
    match = _SUMMARY.match(line)
    if match is None:
        problems.append(f"{origin}: {line[:60]!r} is no '[start - end] turn emotion [V, A, D]'; correct the line")
        return None
    start, end, name, code = match.groups()
    turn = _TURN.fullmatch(name)
    if turn is None or turn["dialogue"] != dialogue:
        problems.append(f"{origin}: {name!r} is no turn of {dialogue}, such as {dialogue}_F000; correct the line")
        return None
    if code not in CODES:
        problems.append(f"{origin} ({name}): {unknown_name('emotion', code, CODES)}; correct the line")
        return None
    ratings = _ratings(line[match.end() :])
    if ratings is None:
        problems.append(f"{origin} ({name}): {line[match.end() :].strip()!r} is no [V, A, D]; write three numbers")
        return None
    return Evaluation(
        turn=name,
        speaker=turn["speaker"],
        start_seconds=float(start),
        end_seconds=float(end),
        majority=CODES[code],
        choices=tuple(filter(None, choices)),
        ratings=ratings,
        origin=origin,
    )


def _ratings(text: str) -> dict[str, float] | None:
    """``[2.5000, 3.0000, 2.5000]`` by dimension, nothing where the line ends before it; None = something else.

    >>> _ratings(" [2.5000, nan, 2.5000]"), _ratings(""), _ratings("[2.5, 3.0]")
    ({'valence': 2.5, 'dominance': 2.5}, {}, None)
    """
    if not text.strip():
        return {}
    match = _RATINGS.fullmatch(text.strip())
    if match is None:
        return None
    try:
        values = {name: float(cell) for name, cell in zip(VAD, match.groups(), strict=True) if cell not in _NO_RATINGS}
    except ValueError:
        return None
    return values if all(map(math.isfinite, values.values())) else None


def _choice(text: str, origin: str, unknown_votes: list[str]) -> tuple[str, ...]:
    words = [word.strip().lower() for word in text.split(";") if word.strip()]
    unknown_votes += [f"{origin}: {word}" for word in words if word not in WORDS]
    return tuple(dict.fromkeys(WORDS[word] for word in words if word in WORDS))


def _lines(path: Path, encoding: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, and where it stands; a sentence for each with bytes outside the encoding."""
    place = _place(path)
    try:
        data = path.read_bytes()
        "".encode(encoding)
    except OSError as error:
        problems.append(f"{place}: cannot be read ({error.strerror})")
        return
    except LookupError as error:
        raise CorpusError(f"{place}: there is no encoding {encoding!r}; use utf-8, cp1252, latin-1, …") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode(encoding).strip()
        except UnicodeDecodeError:
            problems.append(
                f"{place} row {number}: bytes are not {encoding.upper()}; save the file as UTF-8, or read it with "
                "another encoding (--data.options.encoding cp1252)"
            )
            continue
        if text:
            yield f"{place} row {number}", text


def _place(path: Path) -> str:
    """``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt``: the names of the dialogues' two files are the same."""
    return "/".join(path.parts[-4:])
