"""EmoBank: facts about the real file, and faults in small files."""

from pathlib import Path
from statistics import fmean

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import CorpusError, MissingDataError

HEADER = "id,split,V,A,D,text"
GOOD = ("a_1,train,3.0,2.5,3.2,One.", 'b_2,dev,1,5,4.44,"Two, and ""three""."', "c_3,test,2.0,3.0,3.0,NA")


def write(folder: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    (folder / "emobank.csv").write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return folder


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        read_corpus("emobank", folder)
    return caught.value.problems


# --- the real file ----------------------------------------------------------------------------------------------


def test_emobank_has_the_authors_splits_and_three_values_per_sentence(emobank):
    corpus = read_corpus("emobank", emobank)
    assert {split: len(found) for split, found in corpus.splits.items()} == {"train": 8062, "dev": 1000, "test": 1000}
    turns = [turn for found in corpus.splits.values() for turn in utterances(found)]
    assert len({turn.id.partition("/")[2] for turn in turns}) == len(turns) == 10062
    assert all(turn.text and tuple(turn.targets) == corpus.dimensions for turn in turns)
    means = [round(fmean(turn.targets[name] for turn in turns), 4) for name in corpus.dimensions]
    assert means == [2.9767, 3.0418, 3.0628]
    values = [value for turn in turns for value in turn.targets.values()]
    assert (min(values), max(values)) == (1.2, 4.6)


def test_warnings_count_the_sentences_that_are_in_two_splits(emobank):
    counts = [warning.partition(" (")[0] for warning in read_corpus("emobank", emobank).warnings]
    assert counts == [
        "dev: 33 of 1,000 dialogues have the same texts as dialogues of train, 25 of them word for word",
        "test: 25 of 1,000 dialogues have the same texts as dialogues of train, 18 of them word for word",
        "test: 7 of 1,000 dialogues have the same texts as dialogues of dev, 6 of them word for word",
    ]


# --- small files ------------------------------------------------------------------------------------------------


def test_a_sentence_is_a_dialogue_of_one_turn_without_a_class(tmp_path):
    corpus = read_corpus("emobank", write(tmp_path, *GOOD), labels="whatever")
    assert (corpus.label_set, corpus.dimensions) == (None, ("valence", "arousal", "dominance"))
    (dialogue,) = corpus.split("dev")
    (turn,) = dialogue
    assert (dialogue.id, turn.id, turn.text, turn.label) == ("dev/b_2", "dev/b_2", 'Two, and "three".', None)
    assert turn.targets == {"valence": 1.0, "arousal": 5.0, "dominance": 4.44}
    assert corpus.split("test")[0].utterances[0].text == "NA"
    assert "CC BY-SA 4.0" in corpus.licence
    assert corpus.warnings == ()


def test_a_file_with_only_one_split_is_read(tmp_path):
    assert list(read_corpus("emobank", write(tmp_path, GOOD[1])).splits) == ["dev"]


def test_one_error_names_all_bad_rows(tmp_path):
    found = problems(
        write(
            tmp_path,
            GOOD[0],
            "d,tran,3,3,3,Split.",
            ",train,3,3,3,Id.",
            "a_1,dev,3,3,3,Twice.",
            "e,train,0.99,5.01,,Values.",
            "f,train,nan,3;0,many,Numbers.",
        )
    )
    assert found == (
        "emobank.csv row 3: unknown split 'tran'; did you mean 'train'? Known: dev, test, train; correct it",
        "emobank.csv row 4: has no id; give the sentence one",
        "emobank.csv row 5: id 'a_1' is also the id of emobank.csv row 2; give each sentence its own id",
        "emobank.csv row 6: V '0.99' is not a number from 1 to 5; correct it",
        "emobank.csv row 6: A '5.01' is not a number from 1 to 5; correct it",
        "emobank.csv row 6: D '' is not a number from 1 to 5; correct it",
        "emobank.csv row 7: V 'nan' is not a number from 1 to 5; correct it",
        "emobank.csv row 7: A '3;0' is not a number from 1 to 5; correct it",
        "emobank.csv row 7: D 'many' is not a number from 1 to 5; correct it",
    )


def test_missing_columns_and_bytes_that_are_not_utf8_are_named(tmp_path):
    found = problems(write(tmp_path, "1,train,3,3,x", header="id,split,V,A,texts"))
    assert ["'D'" in found[0], "'text'; did you mean 'texts'" in found[1]] == [True, True]
    (found,) = problems(write(tmp_path, GOOD[0].replace("One", "it’s"), encoding="cp1252"))
    assert found.startswith("emobank.csv: 1 byte in 1 row is not UTF-8 (row 2: \\x92)")


def test_an_empty_sentence_stays_and_gives_a_warning(tmp_path):
    corpus = read_corpus("emobank", write(tmp_path, *GOOD, "d_4,train,3,3,3,"))
    assert corpus.split("train")[1].utterances[0].text is None
    assert corpus.warnings == ("train: 1 turns have neither text nor audio (train/d_4)",)


def test_emobank_is_found_in_the_data_folders(tmp_path, monkeypatch):
    (tmp_path / "emobank").mkdir()
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=r"emobank\.csv is missing; give the folder that holds it"):
        read_corpus("emobank")
    write(tmp_path / "emobank", *GOOD)
    assert len(read_corpus("emobank").split("train")) == 1
