import numpy as np
import pytest

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.files.pickle_layouts import read_layout


def rows(n, dim, at=0.0):
    return [np.full(dim, at + i, np.float64) for i in range(n)]


def meld_raw():
    """conv-emotion's MELD_features_raw.pkl in small: dialogue 0 in train, 1 in test."""
    ids = {0: ["0_0", "0_2"], 1: ["1_0"]}
    speakers = {0: [[1, 0], [0, 1]], 1: [[1, 0]]}
    text, audio = {0: rows(2, 4), 1: rows(1, 4, 9)}, {0: rows(2, 3), 1: rows(1, 3, 9)}
    sentences = {0: ["Hi.", "Bye."], 1: ["No!"]}
    return ids, speakers, {0: [1, 2], 1: [0]}, text, audio, sentences, [0], [1], {0: [1, 1], 1: [0]}


def iemocap():
    ids, _speakers, labels, text, audio, sentences, train, test, _ = meld_raw()
    return ids, {0: ["M", "F"], 1: ["F"]}, labels, text, audio, audio, sentences, set(train), test


def test_conv_emotion_meld_is_recognised():
    name, turns = read_layout(meld_raw())
    assert name == "conv-emotion MELD"
    assert [(t.key, t.dialogue, t.position, t.text, t.split) for t in turns] == [
        ("0_0", "0", 0, "Hi.", "train"),
        ("0_2", "0", 1, "Bye.", "train"),
        ("1_0", "1", 0, "No!", "test"),
    ]
    assert {modality: row.tolist() for modality, row in turns[2].rows.items()} == {"text": [9] * 4, "audio": [9] * 3}
    assert turns[0].rows["text"].dtype == np.float32


def test_iemocap_mmgcn_and_cosmic_are_recognised_by_the_content_of_their_parts():
    name, turns = read_layout(iemocap())
    assert name == "conv-emotion or MMGCN IEMOCAP"
    assert list(turns[0].rows) == ["text", "audio", "visual"]
    ids, speakers, labels, text, audio, sentences, train, test, sentiment = meld_raw()
    assert (
        read_layout((ids, speakers, labels, text, audio, audio, sentences, train, test, sentiment))[0] == "MMGCN MELD"
    )
    cosmic = (speakers, labels, text, text, text, text, sentences, train, test, [])
    name, turns = read_layout(cosmic)
    assert (name, turns[0].key) == ("COSMIC IEMOCAP", None)
    assert list(turns[0].rows) == ["text1", "text2", "text3", "text4"]


def test_labels_and_splits_come_from_the_pickle_whatever_holds_them():
    parts = list(meld_raw())
    parts[2], parts[6], parts[7] = {0: np.array([1.0, 2.5]), 1: ["joy"]}, np.array([0]), {1}
    turns = read_layout(tuple(parts))[1]
    assert [(t.label, t.split) for t in turns] == [("1", "train"), ("2.5", "train"), ("joy", "test")]
    parts[2] = {0: [1], 1: [[0, 1]]}
    turns = read_layout(tuple(parts), "ids,-,labels,text,-,sentences,train,test,-")[1]
    assert [t.label for t in turns] == [None] * 3


def test_a_dialogue_in_two_splits_is_an_error():
    parts = list(meld_raw())
    parts[7] = [1, 0]
    with pytest.raises(FeatureError, match=r"dialogue 0 is in test and train \(1 dialogues are in more than one split"):
        read_layout(tuple(parts))


def test_rows_of_a_dialogue_may_be_one_array():
    parts = list(meld_raw())
    parts[3] = {key: np.stack(value) for key, value in parts[3].items()}
    _, turns = read_layout(tuple(parts))
    assert turns[1].rows["text"].tolist() == [1] * 4


def test_a_layout_of_the_user_names_every_part():
    ids, _, labels, _, audio, *_ = meld_raw()
    with pytest.raises(
        FeatureError, match=r"no known layout fits the pickle's 4 parts: 0 texts, 1 vectors, .*--layout"
    ):
        read_layout([ids, audio, labels, labels])
    _name, turns = read_layout([ids, audio], layout="ids,voice")
    assert [t.rows["voice"].tolist() for t in turns][2] == [9] * 3
    with pytest.raises(ConfigError, match="names 3 parts, the pickle has 2: 0 texts, 1 vectors"):
        read_layout([ids, audio], layout="ids,-,audio")


def test_plain_dictionaries_by_utterance_by_dialogue_and_by_split():
    name, turns = read_layout({"u1": np.ones(3), "u2": [1.0, 2.0, 3.0]})
    assert (name, [t.key for t in turns], turns[1].rows["features"].tolist()) == (
        "dictionary by utterance",
        ["u1", "u2"],
        [1, 2, 3],
    )
    name, turns = read_layout({"d": np.zeros((2, 5)), "e": rows(1, 5)})
    assert name == "dictionary by dialogue"
    assert [(t.dialogue, t.position, t.key) for t in turns] == [("d", 0, None), ("d", 1, None), ("e", 0, None)]
    _, turns = read_layout({"u": np.zeros((2, 5))}, keys="utterance")
    assert turns[0].rows["features"].shape == (2, 5)
    _, turns = read_layout({"train": {"0_1": np.ones(2)}, "val": {"0_1": np.ones(2)}})
    assert [(t.split, t.key) for t in turns] == [("train", "0_1"), ("dev", "0_1")]
    _, turns = read_layout(({"0_1": np.ones(2)}, {"0_1": np.ones(2)}, {"0_1": np.ones(2)}))
    assert [t.split for t in turns] == ["train", "dev", "test"]


def test_a_dialogue_whose_parts_have_different_lengths_is_named():
    parts = meld_raw()
    parts[5][0].append("one sentence too many")
    with pytest.raises(FeatureError, match=r"dialogue 0: parts of different lengths \(ids 2, sentences 3, text 2"):
        read_layout(parts)


@pytest.mark.parametrize("value", [3, "text", {}, {"a": "b"}, {"a": [["x"]]}, {"a": 1.0}])
def test_what_holds_no_features_is_an_error(value):
    with pytest.raises(FeatureError):
        read_layout(value)


@pytest.mark.parametrize("part", range(9))
@pytest.mark.parametrize(
    "value", [5, None, "x", [1], {0: 5}, {0: None}, {0: {}}, {0: np.float32(1)}, {0: [10**400, 1]}]
)
def test_parts_that_do_not_fit_the_layout_raise_a_feature_error(part, value):
    parts = list(meld_raw())
    parts[part] = value
    for layout in (None, "ids,speakers,labels,text,audio,sentences,train,test,-"):
        outcome = None
        try:
            outcome = read_layout(tuple(parts), layout)
        except FeatureError as error:  # any other exception is a failure of this test
            outcome = str(error)
        assert outcome, "there is neither a layout nor a sentence that says why not"


def test_a_number_that_is_too_large_for_a_feature_is_refused():
    with pytest.raises(FeatureError, match="too large"):
        read_layout({"a": [10**400, 1]})
