"""Read two files of an IEMOCAP dialogue: the evaluation (times and emotions of its turns) and the transcript."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dialogue_ser.corpus.schema import VAD
from dialogue_ser.errors import CorpusError, unknown_name

#: Emotion as the first line of a turn's evaluation writes it → class. ``xxx`` means that there is no majority.
CODES: Mapping[str, str | None] = {
    "ang": "anger", "dis": "disgust", "exc": "excited", "fea": "fear", "fru": "frustrated", "hap": "happy",
    "neu": "neutral", "oth": "other", "sad": "sad", "sur": "surprise", "xxx": None,
}  # fmt: skip
#: Emotion as the line of an annotator writes it, in lower case → class.
WORDS: Mapping[str, str] = {
    "anger": "anger", "disgust": "disgust", "excited": "excited", "fear": "fear", "frustration": "frustrated",
    "happiness": "happy", "neutral": "neutral", "neutral state": "neutral", "other": "other", "sadness": "sad",
    "surprise": "surprise",
}  # fmt: skip

# Ses01F_impro01_F000: session 01, the person F wore the motion markers, scene, the person F speaks, number.
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
    """The evaluation of one turn.

    Args:
        turn: name of the turn, e.g. ``Ses01F_impro01_F000``.
        speaker: who speaks, F or M.
        start_seconds: start of the turn inside the dialogue.
        end_seconds: end of the turn inside the dialogue.
        majority: the class that the release states; None = it states that there is no majority.
        choices: the classes that each annotator named. The actors' votes on themselves (C-F1, C-M1) are left out,
            because the release does not count them for the majority.
        ratings: the annotators' mean valence, arousal (the release calls it activation) and dominance, as the summary
            line states them. A value that is blank or ``nan`` there is missing here. The scale is not checked.
        origin: file and line, for error messages.
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
    """Read the turns of ``dialog/EmoEvaluation/DIALOGUE.txt``. They are sorted by their start, because they overlap.

    A line that begins with ``[`` begins a turn. A line that begins with ``C-E`` is the choice of an annotator. Other
    lines are ignored.

    Args:
        path: the file. It has the name of the dialogue.
        encoding: encoding of the file.
        problems: gets one sentence for each line that cannot be read.
        unknown_votes: gets the origin and the word of each vote that is not an emotion of the corpus. Such a vote does
            not count.
    """
    n_before = len(problems)
    blocks: list[tuple[str, str, list[tuple[str, ...]]]] = []
    for origin, line in _read_lines(path, encoding, problems):
        vote = _VOTE.match(line)
        if line.startswith("["):
            blocks.append((origin, line, []))
        elif vote is not None and blocks:
            blocks[-1][2].append(_parse_choice(vote[1], origin, unknown_votes))
    if not blocks and len(problems) == n_before:
        problems.append(f"{_short_path(path)}: holds no turn; replace it by the file of the release")
    turns = (_parse_turn(line, path.stem, choices, origin, problems) for origin, line, choices in blocks)
    return tuple(sorted(filter(None, turns), key=lambda turn: (turn.start_seconds, turn.end_seconds, turn.turn)))


def read_transcript(path: Path, encoding: str, problems: list[str]) -> dict[str, str]:
    """Read turn → text from ``dialog/transcriptions/DIALOGUE.txt``. Lines that name no turn are ignored.

    Args:
        path: the file.
        encoding: encoding of the file.
        problems: gets one sentence for each line that cannot be read.
    """
    matches = (_TRANSCRIPT.fullmatch(line) for _, line in _read_lines(path, encoding, problems))
    return {match[1]: match[2].strip() for match in matches if match is not None and _TURN.fullmatch(match[1])}


def _parse_turn(
    line: str, dialogue: str, choices: Sequence[tuple[str, ...]], origin: str, problems: list[str]
) -> Evaluation | None:
    match = _SUMMARY.match(line)
    if match is None:
        problems.append(
            f"{origin}: {line[:60]!r} does not have the form '[start - end] turn emotion [V, A, D]'; correct the line"
        )
        return None
    start, end, name, code = match.groups()
    turn = _TURN.fullmatch(name)
    if turn is None or turn["dialogue"] != dialogue:
        problems.append(
            f"{origin}: {name!r} is not the name of a turn of {dialogue}, e.g. {dialogue}_F000; correct the line"
        )
        return None
    if code not in CODES:
        problems.append(f"{origin} ({name}): {unknown_name('emotion', code, CODES)}; correct the line")
        return None
    ratings = _parse_ratings(line[match.end() :])
    if ratings is None:
        problems.append(
            f"{origin} ({name}): {line[match.end() :].strip()!r} does not have the form [V, A, D]; write three numbers"
        )
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


def _parse_ratings(text: str) -> dict[str, float] | None:
    """Parse ``[2.5000, 3.0000, 2.5000]`` into dimension → value. None = the text has another form.

    >>> _parse_ratings(" [2.5000, nan, 2.5000]"), _parse_ratings(""), _parse_ratings("[2.5, 3.0]")
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


def _parse_choice(text: str, origin: str, unknown_votes: list[str]) -> tuple[str, ...]:
    words = [word.strip().lower() for word in text.split(";") if word.strip()]
    unknown_votes += [f"{origin}: {word}" for word in words if word not in WORDS]
    return tuple(dict.fromkeys(WORDS[word] for word in words if word in WORDS))


def _read_lines(path: Path, encoding: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the origin and the text of each line that is not blank. A line with wrong bytes becomes a problem."""
    file = _short_path(path)
    try:
        data = path.read_bytes()
        "".encode(encoding)
    except OSError as error:
        problems.append(f"{file}: cannot be read ({error.strerror}); check the path and its permissions")
        return
    except LookupError as error:
        raise CorpusError(f"{file}: there is no encoding {encoding!r}; use utf-8, cp1252, latin-1, …") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode(encoding).strip()
        except UnicodeDecodeError:
            problems.append(
                f"{file} row {number}: bytes are not {encoding.upper()}; save the file as UTF-8, or read it with "
                "another encoding (--data.options.encoding cp1252)"
            )
            continue
        if text:
            yield f"{file} row {number}", text


def _short_path(path: Path) -> str:
    """Return e.g. ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt``. The transcript has the same file name."""
    return "/".join(path.parts[-4:])
