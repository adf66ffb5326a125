"""Equal names in different folders become ids of their own; ids that were unique do not change."""

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.table_input import read_dialogues
from dialogue_ser.corpus.schema import Corpus, utterances
from dialogue_ser.errors import ConfigError, CorpusError

SPEAKERS = ("DC", "JE", "JK", "KL")


@pytest.fixture
def folder(tmp_path):
    for speaker in SPEAKERS:
        (tmp_path / speaker).mkdir()
        for name in ("a01", "h01"):
            (tmp_path / speaker / f"{name}.wav").write_bytes(f"{speaker}{name}".encode())
    return tmp_path


def read(folder, rows: list[str], **options) -> Corpus:
    (folder / "own.csv").write_text("\n".join(["utterance_id,audio,speaker,label,split", *rows, ""]))
    return read_corpus("table", folder / "own.csv", **options)


def ids(corpus: Corpus) -> list[str]:
    return [turn.id for dialogues in corpus.splits.values() for turn in utterances(dialogues)]


def test_equal_names_in_four_folders_become_paths_and_a_warning_says_so(folder):
    rows = [f"a01,{who}/a01.wav,{who},anger,train" for who in SPEAKERS] + ["h01,DC/h01.wav,DC,joy,train"]
    corpus = read(folder, rows)
    assert ids(corpus) == ["train/DC/a01", "train/JE/a01", "train/JK/a01", "train/KL/a01", "train/h01"]
    (warning,) = [warning for warning in corpus.warnings if "utterance ids" in warning]
    assert warning.startswith("train: 1 utterance ids name several rows, whose audio lies in different folders (a01)")
    assert "the ids of these 4 rows are their audio paths, e.g. train/DC/a01" in warning


def test_absolute_paths_below_the_root_give_the_same_ids(folder):
    rows = [f"a01,{folder / who / 'a01.wav'},{who},anger,train" for who in SPEAKERS]
    assert ids(read(folder, rows, audio_root=str(folder)))[0] == "train/DC/a01"


def test_names_that_are_equal_only_in_different_splits_stay(folder):
    corpus = read(folder, ["a01,DC/a01.wav,DC,anger,train", "a01,JE/a01.wav,JE,anger,test"])
    assert ids(corpus) == ["train/a01", "test/a01"]
    assert not any("utterance ids" in warning for warning in corpus.warnings)


@pytest.mark.parametrize("second", ["a01,DC/a01.wav,DC,joy,train", "a01,,JE,anger,train"])
def test_the_same_file_or_no_file_stays_an_error_that_names_both_rows(folder, second):
    with pytest.raises(CorpusError, match=r"own.csv row 3 \(train/a01\).*own.csv row 2"):
        read(folder, ["a01,DC/a01.wav,DC,anger,train", second], columns={"text": "speaker"})


def test_equal_names_in_the_input_of_predict_are_told_apart_too(folder):
    (folder / "new.csv").write_text("utterance_id,audio,dialogue\na01,DC/a01.wav,1\na01,JE/a01.wav,2\n")
    assert [turn.id for turn in utterances(read_dialogues(folder / "new.csv"))] == ["new/DC/a01", "new/JE/a01"]


def test_an_audio_root_that_is_no_folder_is_one_error(folder):
    rows = [f"a01,{who}/a01.wav,{who},anger,train" for who in SPEAKERS]
    with pytest.raises(ConfigError, match=r"audio_root .*nowhere: is no folder"):
        read(folder, rows, audio_root=str(folder / "nowhere"))
