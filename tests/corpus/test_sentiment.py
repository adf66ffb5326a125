"""The sentiment of a turn is what the corpus states; a label decides only where it cannot be two things."""

import pytest

from dialogue_ser.corpus.label_maps import IEMOCAP_CLASSES, SHARED_CLASSES
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.dailydialog import CLASSES as DAILYDIALOG
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.sentiment import sentiment_of, sentiment_of_label, sentiment_word
from dialogue_ser.corpus.validate import corpus_problems


@pytest.mark.parametrize(
    ("sentiment", "labels"),
    [
        ("negative", "anger angry mad disgust fear scared sadness sad frustrated boredom contempt negative NEG"),
        ("neutral", "neutral Neu"),
        ("positive", "joy joyful happy happiness excited peaceful powerful positive pos"),
        (None, "surprise surprised other undecided none calm 3 mixed"),
    ],
)
def test_a_label_gives_a_sentiment_if_it_is_unambiguous(sentiment, labels):
    assert {sentiment_of_label(label) for label in labels.split()} == {sentiment}


def test_only_surprise_and_other_are_open_in_the_label_sets_of_the_readers():
    classes = {*IEMOCAP_CLASSES, *SHARED_CLASSES["shared-7"], *DAILYDIALOG}
    assert {label for label in classes if sentiment_of_label(label) is None} == {"surprise", "other", "none"}


def test_what_the_corpus_states_comes_first():
    assert sentiment_of(Utterance(id="a", speaker="x", label="joy", sentiment="negative")) == "negative"
    assert sentiment_of(Utterance(id="a", speaker="x", label="joy")) == "positive"
    assert sentiment_of(Utterance(id="a", speaker="x")) is None
    assert [sentiment_word(text) for text in ("", "Positive ", "neu", "mixed")] == [None, "positive", "neutral", None]


def test_meld_keeps_the_sentiment_with_every_label_set_and_its_fingerprint():
    plain, shared, three = (
        read_corpus("sample", labels=labels, splits=["test"]) for labels in ("emotion", "shared-4", "sentiment")
    )
    stated = {turn.id: turn.sentiment for turn in utterances(plain.split("test"))}
    assert set(stated.values()) <= {"negative", "neutral", "positive"}
    assert len(set(stated.values())) == 3
    for corpus in (shared, three):
        assert all(stated[turn.id] == turn.sentiment for turn in utterances(corpus.split("test")))
    assert all(turn.label == turn.sentiment for turn in utterances(three.split("test")))


def test_a_table_gives_the_sentiment_by_its_usual_name_or_by_a_stated_column(tmp_path):
    rows = "dialogue,speaker,text,label,sentiment,polarity\nd,A,x,anger,Negative,pos\nd,B,y,anger,?,neutral\n"
    (tmp_path / "t.csv").write_text(rows)

    def sentiments(**columns):
        corpus = read_corpus("table", path=tmp_path / "t.csv", columns=columns, files=None, fractions={"train": 1.0})
        return [turn.sentiment for turn in utterances(corpus.split("train"))]

    assert sentiments() == ["negative", None]
    assert sentiments(sentiment="polarity") == ["positive", "neutral"]
    assert sentiments(sentiment=None) == [None, None]
    assert sentiments(label="sentiment", text="text") == [None, None]  # one column has one role


def test_another_word_from_a_reader_is_a_problem():
    turn = Utterance(id="train/a", speaker="x", label="joy", sentiment="happy")
    splits = {"train": (Dialogue("train/d", (turn,)),)}
    problems = corpus_problems(Corpus(name="own", label_set=LabelSet("e", ("joy",)), splits=splits))
    assert problems == ["train/a: unknown sentiment 'happy'; known: negative, neutral, positive"]
