"""DailyDialog: a line is a dialogue, and another file has a line with its emotions."""

from collections import Counter
from pathlib import Path

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError

TEXTS = "Hi . __eou__ Oh , hello ! __eou__ You look sad . __eou__\nNo ! __eou__ None __eou__\n"
EMOTIONS = "0 4 5 \n1 0 \n"


def write(folder: Path, texts: str = TEXTS, emotions: str = EMOTIONS) -> Path:
    for name in ("train", "validation", "test"):
        (folder / name).mkdir()
        (folder / name / f"dialogues_{name}.txt").write_text(texts)
        (folder / name / f"dialogues_emotion_{name}.txt").write_text(emotions)
    return folder


def problems(folder: Path, **options) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        read_corpus("dailydialog", folder, splits=["train"], **options)
    return caught.value.problems


def test_lines_are_dialogues_of_two_people_who_take_turns(tmp_path):
    corpus = read_corpus("dailydialog", write(tmp_path))
    assert {split: len(found) for split, found in corpus.splits.items()} == {"train": 2, "dev": 2, "test": 2}
    first, second = corpus.split("dev")
    assert [(turn.id, turn.speaker, turn.text, turn.label) for turn in first] == [
        ("dev/dia0_utt0", "A", "Hi .", "none"),
        ("dev/dia0_utt1", "B", "Oh , hello !", "happiness"),
        ("dev/dia0_utt2", "A", "You look sad .", "sadness"),
    ]
    assert [(turn.text, turn.label) for turn in second] == [("No !", "anger"), ("None", "none")]
    assert second.utterances[0].origin == "dialogues_validation.txt row 2"
    labels = ("none", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert corpus.label_set.labels == labels


def test_all_seven_numbers_are_classes(tmp_path):
    text = " __eou__ ".join("abcdefg") + " __eou__\n"
    corpus = read_corpus("dailydialog", write(tmp_path, text, "0 1 2 3 4 5 6\n"), splits=["test"])
    assert tuple(turn.label for turn in utterances(corpus.split("test"))) == corpus.label_set.labels
    shared = read_corpus("dailydialog", tmp_path, "shared-4", splits=["test"])
    assert Counter(turn.label for turn in utterances(shared.split("test"))) == {
        "neutral": 1, "anger": 1, "happiness": 1, "sadness": 1, None: 3
    }  # fmt: skip


def test_other_names_and_folders_in_folders_are_found(tmp_path):
    (tmp_path / "train" / "train").mkdir(parents=True)
    (tmp_path / "train" / "train" / "dialogues_text.txt").write_text(TEXTS)
    (tmp_path / "train" / "train" / "dialogues_emotion.txt").write_text(EMOTIONS)
    assert len(read_corpus("dailydialog", tmp_path, splits=["train"]).split("train")) == 2
    with pytest.raises(
        MissingDataError, match=r"validation: dialogues_validation\.txt and dialogues_emotion_validation"
    ):
        read_corpus("dailydialog", tmp_path)


def test_all_lines_that_do_not_match_are_named(tmp_path):
    found = problems(write(tmp_path, TEXTS + TEXTS + "\nHi . __eou__\n", "0 4\n1 0\n0 7 x\n1 0\n\n0\n"))
    assert found == (
        "train: dialogues_train.txt row 1: has 3 turns, but dialogues_emotion_train.txt has 2 numbers; correct one of "
        "them",
        "train: dialogues_train.txt row 3: dialogues_emotion_train.txt holds 7, x; write numbers from 0 to 6",
        "train: dialogues_train.txt row 5: has 0 turns, but dialogues_emotion_train.txt has 0 numbers; correct one of "
        "them",
    )


def test_files_of_different_lengths_and_encodings_are_refused(tmp_path):
    write(tmp_path, TEXTS, "0 4 5\n")
    assert "dialogues_train.txt has 2 dialogues, but dialogues_emotion_train.txt has 1" in problems(tmp_path)[0]
    (tmp_path / "train" / "dialogues_train.txt").write_bytes(b"It\x92s __eou__\n")
    (tmp_path / "train" / "dialogues_emotion_train.txt").write_text("0\n")
    (problem,) = problems(tmp_path)
    assert "byte 2 is not UTF-8" in problem
    corpus = read_corpus("dailydialog", tmp_path, splits=["train"], encoding="cp1252")
    assert corpus.split("train")[0].utterances[0].text == "It’s"
    assert "there is no encoding 'utf-9'" in problems(tmp_path, encoding="utf-9")[0]
    with pytest.raises(ConfigError, match="unknown split 'validation'"):
        read_corpus("dailydialog", tmp_path, splits=["validation"])
