"""Words for emotions are known in the spellings of the corpora, and cells with several labels are recognised."""

import pytest

from dialogue_ser.corpus.label_maps import IEMOCAP_CLASSES, SHARED_CLASSES
from dialogue_ser.corpus.label_words import EMOTION_WORDS, emotion_of, parts_of, plain
from dialogue_ser.corpus.parsing.emo_evaluation import CODES

ALONE = frozenset({"joy", "sad", "anger"})


@pytest.mark.parametrize(
    ("one", "other"), [("Joy", "joy "), ("very_happy", "Very  Happy"), ("ne\u0301", "né"), ("[laughs]", "laughs.")]
)
def test_spellings_of_one_label_are_plainly_equal(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), [("1", "-1"), ("arousal+", "arousal-"), ("joy", "joyful"), ("c1", "c2")])
def test_different_labels_stay_different(one, other):
    assert plain(one) != plain(other)


@pytest.mark.parametrize(
    "cell",
    ["joy,surprise", "['anger', 'disgust']", '["anger","disgust"]', "{'joy', 'sad'}", "joy|sadness", "joy/sad",
     "joy; sad", "joy + anger", "joy & sad", "joy and anger", "[anger disgust]", "(joy, sad)", "joy\nsad"],
)  # fmt: skip
def test_cells_with_several_labels_are_recognised(cell):
    assert len(parts_of(cell, ALONE)) == 2


@pytest.mark.parametrize(
    "label",
    ["joy", "n/a", "happy/excited", "very happy", "['joy']", "[laughs]", "rock and roll", "1,5", "", ":-)", "["],
)
def test_other_labels_are_one_label(label):
    assert parts_of(label, ALONE) == ()


def test_every_shared_class_and_every_code_of_iemocap_is_a_word():
    assert set(SHARED_CLASSES["shared-7"]) <= set(EMOTION_WORDS)
    assert all(emotion_of(name) is not None for name in (*IEMOCAP_CLASSES, *CODES) if name != "xxx")


def test_no_word_names_two_emotions():
    words = [word for found in EMOTION_WORDS.values() for word in found]
    assert len(words) == len(set(words))
