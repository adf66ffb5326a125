"""EMO-DB: all annotations are in the file names. Counts of the real files, and rules on a generated folder."""

from collections import Counter
from pathlib import Path

import pytest

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError

NAMES = ("03a01Fa", "03a01Nc", "08b02Wd", "08b02Tb", "16a07La", "16b10Ab", "11a05Ed", "11a99Na", "14b01F")


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "wav").mkdir()
    for name in (*NAMES, "._03a01Fa"):
        (tmp_path / "wav" / f"{name}.wav").touch()
    return tmp_path


def test_the_published_files_have_the_published_counts():
    try:
        turns = list(utterances(read_corpus("emodb", find_data("emodb")).split("all")))
    except MissingDataError as error:
        pytest.skip(str(error))
    assert Counter(turn.label for turn in turns) == {
        "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62
    }  # fmt: skip
    assert len({turn.speaker for turn in turns}) == 10


def test_names_give_speaker_sentence_and_emotion(folder):
    corpus = read_corpus("emodb", folder)
    turns = {turn.id: turn for turn in utterances(corpus.split("all"))}
    assert {name: turns[f"all/{name}"].label for name in NAMES} == {
        "03a01Fa": "happiness", "03a01Nc": "neutral", "08b02Wd": "anger", "08b02Tb": "sadness", "16a07La": "boredom",
        "16b10Ab": "fear", "11a05Ed": "disgust", "11a99Na": "neutral", "14b01F": "happiness",
    }  # fmt: skip
    assert len(turns) == len(NAMES)
    turn = turns["all/03a01Fa"]
    assert (turn.speaker, turn.text) == ("03", "Der Lappen liegt auf dem Eisschrank.")
    assert turn.attributes == {"gender": "male", "sentence": "a01"}
    assert turn.audio is not None
    assert turn.audio.path == folder / "wav" / "03a01Fa.wav"
    assert turns["all/08b02Wd"].attributes["gender"] == "female"
    assert turns["all/11a99Na"].text is None
    assert corpus.label_set.labels == ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")


def test_shared_classes_leave_boredom_and_disgust_out(folder):
    corpus = read_corpus("emodb", folder / "wav", "shared-5")
    assert Counter(turn.label for turn in utterances(corpus.split("all"))) == {
        "happiness": 2, "neutral": 2, "anger": 1, "sadness": 1, "fear": 1
    }  # fmt: skip
    assert "2 turns have no class of shared-5" in corpus.warnings[0]


def test_all_files_with_names_of_another_form_are_listed(folder):
    for name in ("noise", "03a01Xa"):
        (folder / "wav" / f"{name}.wav").touch()
    with pytest.raises(CorpusError) as caught:
        read_corpus("emodb", folder)
    assert len(caught.value.problems) == 2
    assert (
        "wav/03a01Xa.wav: the name does not have the form 03a01Fa.wav (speaker: 03, 08, 09" in caught.value.problems[0]
    )


def test_an_empty_folder_is_missing_data(tmp_path):
    with pytest.raises(MissingDataError, match=r"holds no wav/\*\.wav"):
        read_corpus("emodb", tmp_path)
    with pytest.raises(ConfigError, match="unknown label set 'shared5'; did you mean 'shared-5'"):
        read_corpus("emodb", tmp_path, "shared5")


def test_a_speaker_whom_the_corpus_does_not_have_is_a_wrong_name_and_can_be_set_aside(folder):
    clean = read_corpus("emodb", folder).fingerprint()
    (folder / "wav" / "04a01Fa.wav").touch()
    with pytest.raises(CorpusError, match=r"04a01Fa\.wav: the name does not have the form"):
        read_corpus("emodb", folder)
    corpus = read_corpus("emodb", folder, on_bad="mask")
    assert corpus.fingerprint() == clean
    assert corpus.warnings[0].startswith("set aside: wav/04a01Fa.wav: ")
