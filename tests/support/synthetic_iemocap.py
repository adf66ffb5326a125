"""A corpus in IEMOCAP's released layout, made up: tones whose pitch tells the emotion, and texts that hint at it.

Five sessions of two speakers (Ses01F, Ses01M, …, Ses05M), each with one improvised and one scripted dialogue of 14
turns; session 5 has a second scripted one of two turns. As in the release, evaluations list a speaker's turns one after
the other (not in time), turns overlap, annotators name several emotions, some turns have no majority (``xxx``),
transcripts hold lines that are no turn, one turn lacks valence, arousal and dominance and one has them a little off the
scale, and the Mac that packed it left ``._`` files. What must come out of it is written by hand in the constants below.
"""

import wave
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

RATE = 16000
CODES = {
    "ang": "anger", "dis": "disgust", "exc": "excited", "fea": "fear", "fru": "frustrated", "hap": "happy",
    "neu": "neutral", "oth": "other", "sad": "sad", "sur": "surprise",
}  # fmt: skip
#: Turns per emotion as the release writes it; ``None`` are the turns without a majority (xxx).
COUNTS = {
    "improvised": {
        "neutral": 10, "anger": 10, "sad": 10, "happy": 10, "excited": 10, "frustrated": 10, None: 10
    },
    "scripted": {
        "neutral": 10, "anger": 10, "sad": 10, "happy": 10, "excited": 5, "frustrated": 10, "surprise": 5, "fear": 5,
        "disgust": 1, "other": 1, None: 5,
    },
}  # fmt: skip
N_TURNS = {"improvised": 70, "scripted": 72}
#: Turns with one of the four classes (happy and excited are one), per session and per speaker F, M of each session.
N_FOUR_CLASSES = {"improvised": 50, "scripted": 45, "session": 19, "F": 9, "M": 10}

# Turn, code in the release, and what the evaluators E1, E2, E4 chose; one name alone stands for all three of them.
IMPROVISED = (
    ("F000", "neu", ("Neutral;", "Neutral;", "Neutral state;")),
    ("M000", "ang", ("Anger;", "Anger;", "Frustration;")),
    ("F001", "sad", ("Sadness;",)),
    ("M001", "hap", ("Happiness;", "Excited;", "Happiness;")),
    ("F002", "exc", ("Excited;", "Happiness; Excited;", "Excited;")),
    ("M002", "neu", ("Neutral;", "Sadness;", "Neutral;")),
    ("F003", "ang", ("Anger;",)),
    ("M003", "sad", ("Sadness;", "Neutral;", "Sadness;")),
    ("F004", "hap", ("Happiness;", "Happiness;", "Neutral;")),
    ("M004", "exc", ("Excited;",)),
    ("F005", "fru", ("Frustration;", "Anger;", "Frustration;")),
    ("M005", "fru", ("Frustration;",)),
    ("F006", "xxx", ("Neutral;", "Anger;", "Frustration;")),  # nobody agrees
    ("M006", "xxx", ("Neutral;", "Excited;", "Happiness;")),  # two would, were excited and happy one
)
SCRIPTED = (
    ("M000", "ang", ("Anger;",)),
    ("F000", "neu", ("Neutral;", "Neutral;", "Other;")),
    ("M001", "sad", ("Sadness;",)),
    ("F001", "hap", ("Happiness;",)),
    ("M002", "neu", ("Neutral;",)),
    ("F002", "ang", ("Anger;", "Frustration; Anger;", "Anger;")),
    ("M003", "hap", ("Excited;", "Happiness;", "Happiness;")),
    ("F003", "sad", ("Sadness;",)),
    ("M004", "fru", ("Frustration;",)),
    ("F004", "fru", ("Frustration;", "Frustration;", "Sadness;")),
    ("M005", "exc", ("Excited;",)),
    ("F005", "sur", ("Surprise;", "Surprise;", "Happiness;")),
    ("M006", "fea", ("Fear;",)),
    ("F006", "xxx", ("Anger; Frustration;", "Frustration;", "Anger;")),  # two against two
)
SCRIPTED_5 = (("M000", "dis", ("Disgust;",)), ("F000", "oth", ("Other;", "Other;", "Neutral;")))

#: Annotators' mean valence, arousal and dominance of an emotion; turns differ by thirds, as means of three do.
RATINGS = {
    "ang": (1.6667, 4.0, 4.0), "hap": (4.0, 3.3333, 3.0), "exc": (4.3333, 4.0, 3.3333), "neu": (3.0, 2.3333, 2.6667),
    "sad": (2.0, 2.0, 2.0), "fru": (2.0, 3.0, 3.0), "sur": (3.3333, 3.6667, 2.6667), "fea": (2.0, 3.6667, 2.0),
    "dis": (2.0, 3.0, 3.3333), "oth": (3.0, 3.0, 3.0), "xxx": (2.6667, 3.0, 2.6667),
}  # fmt: skip
#: What stands behind a turn's emotion instead: nothing at all, and means that no three numbers from 1 to 5 have.
ODD_RATINGS = {"Ses05M_script01_1b_M000": "", "Ses05M_script01_1b_F000": "[5.5000, 0.5000, 3.0000]"}

_PITCH_HZ = {
    "ang": 400, "hap": 560, "exc": 590, "neu": 200, "sad": 110, "fru": 320, "sur": 700, "fea": 800, "dis": 260,
    "oth": 230, "xxx": 160,
}  # fmt: skip
_SAID = {
    "ang": "Stop it, I have had enough.", "hap": "That is lovely, I am so glad.", "exc": "Oh my god, we won!",
    "neu": "The form is on the desk.", "sad": "I miss her, she is gone.", "fru": "Why does it never work?",
    "sur": "What? You are here!", "fea": "Who is there?", "dis": "That smells.", "oth": "Well, well.", "xxx": "I see.",
}  # fmt: skip


def write_iemocap(folder: Path, missing: Collection[str] = ()) -> Path:
    """The whole tree; sound is left out for the turns in ``missing``, e.g. ``["Ses01F_impro01_M003"]``."""
    for session in range(1, 6):
        parts = {f"Ses{session:02}F_impro01": IMPROVISED, f"Ses{session:02}M_script01_1": SCRIPTED}
        if session == 5:
            parts["Ses05M_script01_1b"] = SCRIPTED_5
        for dialogue, turns in parts.items():
            _write_dialogue(folder / f"Session{session}", dialogue, turns, missing)
    evaluations = folder / "Session1" / "dialog" / "EmoEvaluation"
    (evaluations / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07Mac OS X \xff")
    (evaluations / "Categorical").mkdir()
    (evaluations / "Categorical" / "Ses01F_impro01_e1_cat.txt").write_text("Ses01F_impro01_F000 :Neutral state; ()\n")
    return folder


def turn_seconds(place: int) -> tuple[float, float]:
    """Start and end of the turn at a place of its dialogue: every fourth begins before the one before it has ended."""
    start = 2.0 + 1.25 * place - (1.0 if place % 4 == 3 else 0)
    return start, start + (1.0, 0.75, 0.5, 0.625)[place % 4]


def _write_dialogue(
    session: Path, dialogue: str, turns: tuple[tuple[str, str, tuple[str, ...]], ...], missing: Collection[str]
) -> None:
    names = {turn: f"{dialogue}_{turn}" for turn, _, _ in turns}
    clips = session / "sentences" / "wav" / dialogue
    for part in (clips, session / "dialog" / "EmoEvaluation", session / "dialog" / "transcriptions"):
        part.mkdir(parents=True, exist_ok=True)
    evaluations, transcript = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
    for place, (turn, code, _) in enumerate(turns):
        start, end = turn_seconds(place)
        said = f"{_SAID[code]} {'Well, ' * (place % 3)}number {place}."
        transcript.append(f"{names[turn]} [{start:08.4f}-{end:08.4f}]: {said}")
        if names[turn] not in missing:
            number = 2 * int(session.name[-1]) + (turn[0] == "M")
            write_wav(clips / f"{names[turn]}.wav", tone(code, number, place, end - start))
    for place, (turn, code, votes) in sorted(enumerate(turns), key=lambda item: item[1][0]):
        start, end = turn_seconds(place)
        evaluations += [
            f"[{start:.4f} - {end:.4f}]\t{names[turn]}\t{code}\t{_ratings(names[turn], code, place)}",
            *_lines(votes),
            "",
        ]
    # What transcripts hold besides turns: asides without a name, and turns nobody was asked about.
    transcript[2:2] = ["M: [BREATHING]", f"{dialogue}_FXX0 [000.0000-000.5000]: (laughs)", ""]
    (session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt").write_text("\n".join(evaluations))
    (session / "dialog" / "transcriptions" / f"{dialogue}.txt").write_text("\n".join(transcript) + "\n")


def ratings(code: str, place: int) -> tuple[float, ...]:
    """Valence, arousal and dominance of a turn of this emotion at a place of its dialogue, as the file has them."""
    return tuple(round(value + (place % 3 - 1) / 3, 4) for value in RATINGS[code])


def _ratings(name: str, code: str, place: int) -> str:
    return ODD_RATINGS.get(name, f"[{', '.join(f'{value:.4f}' for value in ratings(code, place))}]")


def _lines(votes: tuple[str, ...]) -> Iterator[str]:
    for name, vote in zip(("E1", "E2", "E4"), votes * (3 // len(votes)), strict=True):
        yield f"C-{name}:\t{vote}\t{'(Annoyed)' if vote == 'Other;' else '()'}"
    yield "C-F1:\tOther;\t(curious)"  # what the actress says of herself is no annotator's vote
    yield "A-E3:\tval 3; act 2; dom  2;\t()"
    yield "A-F1:\tval 2; act 3; dom  ;\t(mildly aggravated but staying polite, attitude)"


def write_wav(path: Path, sound: np.ndarray) -> None:
    """16-bit mono at 16 kHz; soundfile would wait for the disk after every file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def tone(code: str, speaker: int, place: int, seconds: float) -> np.ndarray:
    """A tone with overtones: pitch and loudness by emotion, a little higher from speaker to speaker."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = _PITCH_HZ[code] * (1 + 0.01 * speaker) * (1 + 0.002 * place)
    sound = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 4))
    noise = np.random.default_rng(100 * speaker + place).standard_normal(len(t))
    return (0.1 + 0.05 * (code in ("ang", "exc"))) * sound + 0.001 * noise
