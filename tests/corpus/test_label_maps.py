"""Label maps of the corpora, label maps of a user, and what happens to turns without a new class."""

from dataclasses import replace

import pytest

from dialogue_ser.corpus.label_maps import (
    IEMOCAP_CLASSES,
    IEMOCAP_MAPS,
    SHARED_CLASSES,
    LabelMap,
    label_map_from_options,
    relabel,
    shared_maps,
)
from dialogue_ser.corpus.readers import emodb, nemo, ravdess
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError

EMOTION = LabelSet("emotion", ("joy", "bliss", "fear", "calm"))


def corpus_of(*labels_of_dialogues: str, votes=None, split: str = "all") -> Corpus:
    """Make one dialogue per text. The words of the text are the labels of its turns; ``-`` is an unlabelled turn."""
    dialogues = [
        Dialogue(
            f"{split}/{d}",
            tuple(
                Utterance(
                    id=f"{split}/{d}_{t}", speaker="Ann", text="hi", label=None if word == "-" else word, votes=votes
                )
                for t, word in enumerate(text.split())
            ),
        )
        for d, text in enumerate(labels_of_dialogues)
    ]
    return Corpus(name="mine", label_set=EMOTION, splits={split: tuple(dialogues)})


def labels_in(corpus: Corpus) -> dict[str, str]:
    return {one.id: " ".join(turn.label or "-" for turn in one) for one in corpus.split("all")}


# --- the named maps ---------------------------------------------------------------------------------------------


def test_iemocap_has_maps_of_four_five_six_ten_and_all_classes():
    def mapped(name):
        return {
            label: IEMOCAP_MAPS[name].class_of(label) for label in IEMOCAP_CLASSES if IEMOCAP_MAPS[name].class_of(label)
        }

    same = {label: label for label in ("happy", "sad", "neutral", "anger")}
    assert mapped("4-class") == {**same, "excited": "happy"}
    assert mapped("5-class") == {**same, "excited": "happy", "frustrated": "frustrated"}
    assert mapped("6-class") == {**same, "excited": "excited", "frustrated": "frustrated"}
    assert mapped("10-class") == mapped("emotion") == {label: label for label in IEMOCAP_CLASSES}
    assert IEMOCAP_MAPS["all"].classes == (*IEMOCAP_CLASSES, "undecided")
    assert [len(IEMOCAP_MAPS[name].classes) for name in ("4-class", "5-class", "6-class", "10-class")] == [4, 5, 6, 10]


def test_the_merged_classes_of_iemocap_have_the_published_counts():
    # Counts of the whole release, as docs/data.md states them.
    both = {
        "anger": 1103, "excited": 1041, "frustrated": 1849, "happy": 595, "sad": 1084, "neutral": 1708,
        "surprise": 107, "fear": 40, "disgust": 2, "other": 3,
    }  # fmt: skip

    def counts(name):
        found = dict.fromkeys(IEMOCAP_MAPS[name].classes, 0)
        for label, count in both.items():
            if IEMOCAP_MAPS[name].class_of(label):
                found[IEMOCAP_MAPS[name].class_of(label)] += count
        return found

    assert counts("4-class") == {"happy": 1636, "sad": 1084, "neutral": 1708, "anger": 1103}
    assert sum(counts("4-class").values()) == 5531
    assert counts("5-class")["happy"] == 1636
    assert sum(counts("6-class").values()) == 7380


def test_acted_corpora_have_shared_classes():
    five = ("anger", "fear", "happiness", "neutral", "sadness")
    words = {
        "emodb": {label: label for label in five},
        "nemo": {label: label for label in five},
        "ravdess": {
            "angry": "anger", "fearful": "fear", "happy": "happiness", "neutral": "neutral", "calm": "neutral",
            "sad": "sadness",
        },
    }  # fmt: skip
    classes = {"emodb": emodb.CLASSES, "nemo": nemo.LABEL_SETS["emotion"].labels, "ravdess": ravdess.CLASSES}
    for corpus, expected in words.items():
        shared = shared_maps(corpus)["shared-5"]
        assert shared.classes == five
        assert {label: shared.class_of(label) for label in classes[corpus] if shared.class_of(label)} == expected
    assert shared_maps("meld")["shared-7"].class_of("joy") == "happiness"
    surprised = {shared_maps(corpus)["shared-7"].class_of("surprised") for corpus in ("ravdess", "nemo")}
    assert surprised == {"surprise"}
    assert set(SHARED_CLASSES["shared-4"]) < set(SHARED_CLASSES["shared-5"]) < set(SHARED_CLASSES["shared-7"])


# --- a user's own -----------------------------------------------------------------------------------------------


def test_a_stated_map_merges_leaves_out_and_orders():
    stated = label_map_from_options(EMOTION, {"bliss": "joy", "calm": None}, ["fear", "joy"])
    assert stated.classes == ("fear", "joy")
    assert [stated.class_of(label) for label in EMOTION] == ["joy", "joy", "fear", None]
    assert label_map_from_options(EMOTION, {"joy": "calm"}).classes == ("calm", "bliss", "fear")
    assert label_map_from_options(EMOTION, None, ["calm", "fear", "bliss", "joy", "new"]).classes[-1] == "new"


def test_a_stated_map_may_name_only_classes_of_the_corpus():
    with pytest.raises(ConfigError) as caught:
        label_map_from_options(EMOTION, {"blis": "joy"}, ["joy", "fear", "bliss"])
    assert caught.value.problems == (
        "label_map: unknown emotion label 'blis'; did you mean 'bliss'? Known: bliss, calm, fear, joy",
        "label_order: calm is not in it; add it, or leave the class out with label_map ({calm: null})",
    )
    with pytest.raises(ConfigError, match="no class is left"):
        label_map_from_options(EMOTION, dict.fromkeys(EMOTION))


def test_a_corpus_without_classes_has_no_classes_to_map():
    with pytest.raises(ConfigError, match="label_map and label_order: the corpus has no classes, only dimensions"):
        label_map_from_options(None, {"joy": "bliss"})


# --- relabelling ------------------------------------------------------------------------------------------------

MERGED = LabelMap(classes=("joy", "fear"), merge={"bliss": "joy"})


def test_turns_without_a_new_class_stay_as_context_but_dialogues_of_only_such_turns_are_left_out():
    corpus = relabel(corpus_of("joy calm bliss", "calm", "calm -", "-", "fear"), "two", MERGED)
    assert labels_in(corpus) == {"all/0": "joy - joy", "all/3": "-", "all/4": "fear"}
    assert corpus.label_set == LabelSet("two", ("joy", "fear"))
    assert corpus.warnings == (
        "all: 3 turns have no class of two and count as unlabelled; 2 dialogues without any other label are left out",
    )
    assert relabel(corpus_of("joy fear"), "two", MERGED).warnings == ()


def test_targets_do_not_change_and_a_dialogue_with_only_targets_is_left_out():
    plain = corpus_of("joy calm", "calm")
    rated = tuple(
        Dialogue(one.id, tuple(replace(turn, targets={"valence": 3.0}) for turn in one)) for one in plain.split("all")
    )
    corpus = relabel(replace(plain, splits={"all": rated}, dimensions=("valence",)), "two", MERGED)
    assert labels_in(corpus) == {"all/0": "joy -"}
    assert [turn.targets for turn in corpus.split("all")[0]] == [{"valence": 3.0}] * 2
    assert corpus.dimensions == ("valence",)


def test_votes_are_mapped_and_added_up():
    turns = relabel(corpus_of("joy calm -", votes={"joy": 1.0, "bliss": 1.0, "calm": 2.0}), "two", MERGED).split("all")[
        0
    ]
    assert [turn.votes for turn in turns] == [{"joy": 2.0}, None, {"joy": 2.0}]
    (unvoted,) = relabel(corpus_of("joy", votes={"calm": 2.0}), "two", MERGED).split("all")[0]
    assert (unvoted.label, unvoted.votes) == ("joy", None)


def test_a_map_that_leaves_nothing_and_bad_rows_are_refused():
    with pytest.raises(
        CorpusError, match=r"split 'all': no turn has a class of two \(joy, fear\); correct the label map"
    ):
        relabel(corpus_of("calm", "calm calm"), "two", MERGED)
    broken = corpus_of("joy", "hapy")
    with pytest.raises(CorpusError, match=r"all/1_0: unknown emotion label 'hapy'"):
        relabel(broken, "two", MERGED)
    assert relabel(replace(corpus_of("joy"), warnings=("kept",)), "two", MERGED).warnings == ("kept",)
