"""IEMOCAP's evaluations and transcripts are read line by line."""

from pathlib import Path

import pytest

from dialogue_ser.corpus.parsing.emo_evaluation import read_evaluations, read_transcript
from dialogue_ser.errors import CorpusError

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
FIRST = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]"
SECOND = "[7.5000 - 8.0000]\tSes01F_impro01_M000\txxx\t[2.5000, 2.5000, 2.5000]"


def write(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes("\r\n".join([HEADER, "", *lines]).encode(encoding))
    return path


def read(path: Path, encoding: str = "utf-8"):
    problems: list[str] = []
    unknown: list[str] = []
    return read_evaluations(path, encoding, problems, unknown), problems, unknown


def test_a_turn_has_times_a_majority_and_the_annotators_choices(tmp_path):
    votes = [
        "C-E2:\tNeutral state;\t()", "C-E3:\tAnger; Frustration;\t(mixed; emotions)", "C-E4:\tOther;\t(Annoyed)",
        "C-F1:\tSadness;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", "A-F1:\tval 3; act 2; dom  ;\t()",
    ]  # fmt: skip
    (turn, other), problems, unknown = read(write(tmp_path, FIRST, *votes, "", SECOND, "C-E1:\tSurprise;\t()"))
    assert (turn.turn, turn.speaker, turn.majority) == ("Ses01F_impro01_F000", "F", "neutral")
    assert (turn.start_seconds, turn.end_seconds) == (6.2901, 8.2357)
    assert turn.choices == (("neutral",), ("anger", "frustrated"), ("other",))
    assert turn.origin == "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row 3"
    assert (other.speaker, other.majority, other.choices) == ("M", None, (("surprise",),))
    assert (problems, unknown) == ([], [])


@pytest.mark.parametrize(
    ("written", "ratings"),
    [
        ("\t[2.3333, 3.0000, 5.5000]", {"valence": 2.3333, "arousal": 3.0, "dominance": 5.5}),
        (" [2,3,-1]", {"valence": 2.0, "arousal": 3.0, "dominance": -1.0}),
        ("\t[2.5000, , nan]", {"valence": 2.5}),
        ("\t[nan, nan, nan]", {}),
        ("", {}),
    ],
)
def test_the_ratings_of_a_turn_may_be_missing(tmp_path, written, ratings):
    (turn,), problems, _ = read(write(tmp_path, FIRST.partition("\t[")[0] + written))
    assert (turn.ratings, problems) == (ratings, [])


@pytest.mark.parametrize(
    "written", ["[2.5, 3.0]", "[2.5, 3.0, 2.5, 1.0]", "2.5, 3.0, 2.5", "[a, b, c]", "[2.5, 3.0, inf]"]
)
def test_ratings_that_cannot_be_read_are_named(tmp_path, written):
    turns, problems, _ = read(write(tmp_path, FIRST.partition("[2.5")[0] + written, SECOND))
    assert [turn.turn[-4:] for turn in turns] == ["M000"]
    assert problems == [
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row 3 (Ses01F_impro01_F000): "
        f"{written!r} does not have the form [V, A, D]; write three numbers"
    ]


def test_turns_are_sorted_by_their_start(tmp_path):
    later = FIRST.replace("6.2901 - 8.2357", "7.6 - 7.9")
    turns, _, _ = read(write(tmp_path, later, SECOND))
    assert [turn.turn[-4:] for turn in turns] == ["M000", "F000"]


def test_votes_for_no_emotion_of_the_corpus_do_not_count_and_are_returned(tmp_path):
    (turn,), problems, unknown = read(write(tmp_path, FIRST, "C-E1:\tPride; Anger;\t()", "C-E2:\t;\t()"))
    assert turn.choices == (("anger",),)
    assert unknown == ["Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row 4: pride"]
    assert problems == []


def test_every_line_that_cannot_be_read_is_named(tmp_path):
    path = write(
        tmp_path,
        "[6.29 8.23]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        FIRST.replace("Ses01F_impro01_F000", "Ses01F_impro02_F000"),
        FIRST.replace("Ses01F_impro01_F000", "../../secret"),
        FIRST.replace("\tneu\t", "\tnue\t"),
        SECOND,
    )
    turns, problems, _ = read(path)
    row = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row"
    assert [turn.turn[-4:] for turn in turns] == ["M000"]
    assert [problem.removeprefix(row)[:2] for problem in problems] == [" 3", " 4", " 5", " 6"]
    assert "does not have the form '[start - end] turn emotion [V, A, D]'" in problems[0]
    assert "'Ses01F_impro02_F000' is not the name of a turn of Ses01F_impro01, e.g. Ses01F_impro01_F000" in problems[1]
    assert "unknown emotion 'nue'; did you mean 'neu'" in problems[3]


def test_bytes_outside_the_encoding_are_named_by_line(tmp_path):
    path = write(tmp_path, FIRST, "C-E1:\tAnger;\t(it’s)", encoding="cp1252")
    _, problems, _ = read(path)
    assert problems == [
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row 4: bytes are not UTF-8; save the file as UTF-8, or read "
        "it with another encoding (--data.options.encoding cp1252)"
    ]
    (turn,), problems, _ = read(path, "cp1252")
    assert (turn.choices, problems) == ((("anger",),), [])
    with pytest.raises(CorpusError, match="there is no encoding 'utf-9'"):
        read(path, "utf-9")


def test_a_file_without_turns_is_refused(tmp_path):
    _, problems, _ = read(write(tmp_path))
    assert problems == [
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt: holds no turn; replace it by the file of the release"
    ]


def test_lines_of_a_transcript_that_name_no_turn_are_ignored(tmp_path):
    lines = [
        "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.",
        "M: [BREATHING]",
        "Ses01F_impro01_M000 [007.5000-008.0000]: Yeah. [LAUGHTER] So: what?",
        "Ses01F_impro01_MXX0 [009.0000-009.5000]: (sighs)",
        "what she said before",
        "Ses01F_impro01_F001 [010.0000-011.0000]:",
    ]
    path = tmp_path / "Ses01F_impro01.txt"
    path.write_text("\n".join(lines))
    problems: list[str] = []
    texts = read_transcript(path, "utf-8", problems)
    assert texts == {
        "Ses01F_impro01_F000": "Excuse me.",
        "Ses01F_impro01_M000": "Yeah. [LAUGHTER] So: what?",
        "Ses01F_impro01_MXX0": "(sighs)",
        "Ses01F_impro01_F001": "",
    }
    assert problems == []
