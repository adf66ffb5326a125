"""The reader table: label sets that other readers have too, and labels that look like mistakes."""

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError

HEAD = "dialogue_id,speaker,text,label,split\n"
WORDS = (
    HEAD
    + "1,A,hi,hap,train\n1,B,yo,Joyful,train\n1,A,no,ang,train\n2,A,hi,hap,dev\n2,B,no,bored,dev\n3,A,oh,sad,test\n"
)


@pytest.fixture
def read(tmp_path):
    def read_text(text: str, **options):
        (tmp_path / "own.csv").write_text(text)
        return read_corpus("table", tmp_path / "own.csv", **options)

    return read_text


def labels(corpus) -> list[str | None]:
    return [turn.label for dialogues in corpus.splits.values() for turn in utterances(dialogues)]


def test_words_become_the_shared_classes_in_their_order(read):
    corpus = read(WORDS, labels="shared-4")
    assert corpus.label_set.name == "shared-4"
    assert corpus.label_set.labels == ("anger", "happiness", "neutral", "sadness")
    assert labels(corpus) == ["happiness", "happiness", "anger", "happiness", None, "sadness"]
    assert "dev: 1 turns have no class of shared-4 and count as unlabelled" in corpus.warnings


def test_the_classes_that_dialogue_models_use_on_iemocap_are_a_set_too(read):
    corpus = read(WORDS.replace("Joyful", "exc"), labels="4-class")
    assert corpus.label_set.labels == ("happy", "sad", "neutral", "anger")
    assert labels(corpus) == ["happy", "happy", "anger", "happy", None, "sad"]
    assert labels(read(WORDS.replace("Joyful", "exc"), labels="6-class"))[1] == "excited"


def test_a_table_with_the_shared_classes_keeps_them(read):
    corpus = read(HEAD + "1,A,a,sadness,train\n1,A,b,anger,train\n", labels="shared-4")
    assert labels(corpus) == ["sadness", "anger"]


def test_words_that_are_not_known_are_refused_with_their_first_row_and_the_remedy(read):
    text = HEAD + "1,A,a,calm,train\n1,A,b,anger,train\n1,A,c,calm,train\n2,A,d,7,dev\n"
    with pytest.raises(CorpusError) as caught:
        read(text, labels="shared-4")
    first, second = caught.value.problems
    assert first.startswith("own.csv row 2: 'calm' is no word")
    assert "label_map" in first
    assert second.startswith("own.csv row 5: '7'")
    corpus = read(text, labels="shared-4", label_map={"calm": "neutral", "7": None})
    assert labels(corpus) == ["neutral", "anger", "neutral", None]


def test_the_order_of_shared_classes_may_change_but_not_the_classes(read):
    order = ["neutral", "anger", "happiness", "sadness"]
    assert read(WORDS, labels="shared-4", label_order=order).label_set.labels == tuple(order)
    with pytest.raises(ConfigError, match="label_order anger"):
        read(WORDS, labels="shared-4", label_order=["anger"])


def test_votes_for_words_are_added_up(read):
    corpus = read(
        "text,split,n_hap,n_exc,n_ang,n_oth\na,train,1,1,1,0\nb,train,0,0,2,1\n",
        labels="shared-4",
        columns={"votes": "n_"},
    )
    turns = list(utterances(corpus.split("train")))
    assert [turn.votes for turn in turns] == [{"happiness": 2.0, "anger": 1.0}, {"anger": 2.0}]


def test_any_other_name_of_a_label_set_changes_no_label(read):
    assert labels(read(HEAD + "1,A,a,hap,train\n", labels="mood")) == ["hap"]


def test_spellings_and_several_labels_in_a_cell_are_warnings_that_name_label_map(read):
    corpus = read(HEAD + '1,A,a,Joy,train\n1,A,b,joy ,train\n1,A,c,joy,train\n1,A,d,"joy,sad",train\n')
    spellings = [warning for warning in corpus.warnings if "label_map {Joy: joy}" in warning]
    several = [warning for warning in corpus.warnings if 'label_map {"joy,sad": null}' in warning]
    assert len(spellings) == len(several) == 1
    mended = read(
        HEAD + '1,A,a,Joy,train\n1,A,b,joy ,train\n1,A,c,joy,train\n1,A,d,"joy,sad",train\n',
        label_map={"Joy": "joy", "joy,sad": None},
    )
    assert mended.warnings == ()
    assert labels(mended) == ["joy", "joy", "joy", None]


def test_numbers_in_a_label_map_are_texts_and_words_that_yaml_reads_as_booleans_are_refused(read):
    text = HEAD + "1,A,a,0,train\n1,A,b,1,train\n1,A,c,yes,train\n"
    assert labels(read(text, label_map={0: 5, 1: 5.5, "yes": None})) == ["5", "5.5", None]
    with pytest.raises(ConfigError, match="found true; write words such as yes, no, on and off in quotes"):
        read(text, label_map={True: "agreed"})
