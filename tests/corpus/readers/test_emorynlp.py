"""EmoryNLP: a scene of a series is a dialogue; sentences and speakers are written as lists."""

from collections import Counter
from pathlib import Path

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError

HEADER = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode\n"
TRAIN = """"Ross, what is it?",['Monica Geller'],Scared,1,1,4,7
"['She left.', 'Again.']",['Ross Geller'],Sad,1,2,4,7
Oh no!,"['Joey Tribbiani', 'Chandler Bing']",Neutral,1,3,4,7
None,['Joey Tribbiani'],Powerful,1,1,4,8
"""


def write(folder: Path, **texts: str) -> Path:
    for split in ("train", "dev", "test"):
        text = texts.get(split, "Hi.,['Ann'],Joyful,1,1,1,1\n")
        (folder / f"emorynlp_{split}_final.csv").write_text(HEADER + text)
    return folder


def test_scenes_are_dialogues_and_lists_are_joined(tmp_path):
    corpus = read_corpus("emorynlp", write(tmp_path, train=TRAIN))
    first, second = corpus.split("train")
    assert [(turn.id, turn.speaker, turn.text, turn.label) for turn in first] == [
        ("train/4-7-1_utt1", "Monica Geller", "Ross, what is it?", "scared"),
        ("train/4-7-1_utt2", "Ross Geller", "She left. Again.", "sad"),
        ("train/4-7-1_utt3", "Joey Tribbiani and Chandler Bing", "Oh no!", "neutral"),
    ]
    assert second.id == "train/4-8-1"
    assert second.utterances[0].text == "None"
    assert corpus.label_set.labels == ("joyful", "mad", "peaceful", "neutral", "sad", "powerful", "scared")
    assert {split: len(found) for split, found in corpus.splits.items()} == {"train": 2, "dev": 1, "test": 1}


def test_shared_classes_leave_powerful_as_context(tmp_path):
    text = TRAIN.replace("Neutral", "Powerful")
    corpus = read_corpus("emorynlp", write(tmp_path, train=text), "shared-5")
    assert Counter(turn.label for turn in utterances(corpus.split("train"))) == {"fear": 1, "sadness": 1, None: 1}


def test_one_error_names_all_bad_rows_of_all_files(tmp_path):
    write(
        tmp_path,
        train=TRAIN.replace("Scared", "Scard"),
        dev="Hi.,['Ann'],Joyful\n",
        test=TRAIN.replace("1,2,4", "1,1,4"),
    )
    with pytest.raises(CorpusError) as caught:
        read_corpus("emorynlp", tmp_path)
    text = str(caught.value)
    assert "emorynlp_train_final.csv row 2 (train/4-7-1_utt1): unknown emotion label 'Scard'" in text
    assert "emorynlp_dev_final.csv row 2: 3 cells, but the header has 7" in text
    assert "id 'test/4-7-1_utt1' is also the id of emorynlp_test_final.csv row 2" in text


def test_missing_files_columns_and_splits_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "emorynlp_dev_final.csv").unlink()
    with pytest.raises(MissingDataError, match=r"emorynlp_dev_final\.csv missing"):
        read_corpus("emorynlp", tmp_path)
    assert list(read_corpus("emorynlp", tmp_path, splits=["test"]).splits) == ["test"]
    with pytest.raises(ConfigError, match="unknown split 'tets'; did you mean 'test'"):
        read_corpus("emorynlp", tmp_path, splits=["tets"])
    (tmp_path / "emorynlp_test_final.csv").write_text("Utterance,Speaker\nHi.,Ann\n")
    with pytest.raises(CorpusError, match="unknown column 'Scene_ID'"):
        read_corpus("emorynlp", tmp_path, splits=["test"])
