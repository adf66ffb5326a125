from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.corpus.cut import (
    CutConfig,
    check_folds,
    count_cut_dialogues,
    cut,
    folder_name,
    make_folds,
    select_turns,
)
from dialogue_ser.corpus.protocols import FOLDS, PARTS, leave_one_speaker_out
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.files.precomputed import Precomputed
from dialogue_ser.features.store.feature_store import FeatureStore

LOSO = "leave-one-speaker-out"
TALKS = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), min_size=3, max_size=12)


def dialogues_of(talks):
    return [
        Dialogue(f"all/d{d}", tuple(Utterance(id=f"all/d{d}_{i}", speaker=who, text="x") for i, who in enumerate(talk)))
        for d, talk in enumerate(talks)
    ]


@given(TALKS.filter(lambda talks: len({who for talk in talks for who in talk}) >= 3))
def test_every_utterance_is_tested_once_and_no_speaker_is_in_two_parts(talks):
    dialogues = dialogues_of(talks)
    speaker = {turn.id: turn.speaker for turn in utterances(dialogues)}
    folds = make_folds(LOSO, dialogues)
    assert sorted(name for fold in folds for name in fold.test) == sorted(speaker)
    assert sorted(name for fold in folds for name in fold.dev) == sorted(speaker)  # every speaker is dev once too
    for fold in folds:
        found = [{speaker[name] for name in getattr(fold, part)} for part in PARTS]
        assert sum(map(len, found)) == len(set().union(*found)) == len(set(speaker.values()))
        assert found[2] == {fold.name}
        assert {*fold.train, *fold.dev, *fold.test} == set(speaker)


@given(TALKS.filter(lambda talks: len({who for talk in talks for who in talk}) >= 3), st.randoms())
def test_folds_do_not_depend_on_the_order_of_dialogues(talks, random):
    dialogues = dialogues_of(talks)
    shuffled = list(dialogues)
    random.shuffle(shuffled)

    def as_sets(folds):
        return [(fold.name, *(set(getattr(fold, part)) for part in PARTS)) for fold in folds]

    assert leave_one_speaker_out(dialogues) == leave_one_speaker_out(dialogues)
    assert as_sets(leave_one_speaker_out(dialogues)) == as_sets(leave_one_speaker_out(shuffled))


def test_dev_is_the_next_speaker_in_sorted_order_and_after_the_last_comes_the_first():
    folds = leave_one_speaker_out(dialogues_of([["c"], ["a"], ["d"], ["b"]]))
    who = {"all/d0_0": "c", "all/d1_0": "a", "all/d2_0": "d", "all/d3_0": "b"}
    assert [(fold.name, who[fold.dev[0]]) for fold in folds] == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]


def test_nemo_has_nine_folds(nemo):
    folds = make_folds(LOSO, read_corpus("nemo", nemo).split("all"))
    assert [fold.name for fold in folds] == ["EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0"]
    assert sum(len(fold.test) for fold in folds) == 1057
    assert folds[-1].dev[0].startswith("all/EB0_")


def test_too_few_speakers_and_unknown_protocols_are_refused():
    with pytest.raises(CorpusError, match=r"found 2 group\(s\) \(a, b\)"):
        make_folds(LOSO, dialogues_of([["a"], ["b"]]))
    with pytest.raises(ConfigError, match="did you mean 'leave-one-speaker-out'"):
        make_folds("leave-one-speaker", [])


def test_the_error_about_wrong_folds_names_every_rule_that_they_break():
    dialogues = dialogues_of([["a"], ["b"], ["c"]])
    ids = [turn.id for turn in utterances(dialogues)]
    folds = leave_one_speaker_out(dialogues)
    check_folds(folds, ids)
    broken = [replace(folds[0], dev=folds[0].test), replace(folds[1], train=()), folds[1]]
    with pytest.raises(CorpusError) as caught:
        check_folds(broken, ids)
    text = str(caught.value)
    for sentence in (
        "fold a: 1 utterances lie in two parts",
        "fold b: train is empty",
        "2 utterances are not tested exactly",
    ):
        assert sentence in text


def test_a_protocol_may_leave_turns_untested_if_it_says_so_but_never_tests_one_twice():
    dialogues = dialogues_of([["a"], ["b"], ["c"]])
    ids = [turn.id for turn in utterances(dialogues)]
    first, second, _ = leave_one_speaker_out(dialogues)
    check_folds([first], ids, tests_all=False)
    with pytest.raises(CorpusError, match=r"2 utterances are not tested exactly once, e\.g\. all/d1_0 \(0 times\)"):
        check_folds([first], ids)
    twice = replace(second, test=first.test, dev=second.test, train=())
    with pytest.raises(CorpusError, match=r"1 utterances are not tested at most once, e\.g\. all/d0_0 \(2 times\)"):
        check_folds([first, twice], ids, tests_all=False)
    with pytest.raises(CorpusError, match=r"fold a: 1 ids are not in the corpus, e\.g\. all/d9_0"):
        check_folds([replace(first, train=("all/d9_0",))], ids, tests_all=False)


def test_the_name_of_a_speaker_never_leads_to_another_folder():
    names = ["../../x", "/etc", "..", "a/b", "Phoebe Sr.", "Żółw"]
    assert [folder_name(name) for name in names] == [".._.._x", "_etc", "__", "a_b", "Phoebe Sr.", "Żółw"]
    with pytest.raises(CorpusError, match="2 of them would share the folder 'a_b'"):
        make_folds(LOSO, dialogues_of([["a/b"], ["a_b"], ["c"]]))


def test_dialogues_that_a_fold_cuts_are_counted():
    dialogues = dialogues_of([["a", "b"], ["a"], ["c", "c"], ["b", "c"]])
    assert count_cut_dialogues(dialogues, leave_one_speaker_out(dialogues)) == 2
    assert count_cut_dialogues(dialogues[1:3], leave_one_speaker_out(dialogues)) == 0


def test_selected_turns_keep_their_order_and_empty_dialogues_are_left_out():
    dialogues = dialogues_of([["a", "b", "a"], ["b"]])
    (kept,) = select_turns(dialogues, {"all/d0_2", "all/d0_0"})
    assert [turn.id for turn in kept] == ["all/d0_0", "all/d0_2"]


class SeesItsDialogue:
    """An encoder whose feature is the number of turns of the dialogue that it can see."""

    name, modality, kind = "sees-its-dialogue", "text", "vector"
    traits = EncoderTraits(context="dialogue", reads=("text",))

    def fingerprint(self):
        return {"version": 1}

    def encode(self, dialogues):
        return {turn.id: np.array([len(one)], np.float32) for one in dialogues for turn in one}


def test_an_encoder_that_reads_neighbours_sees_only_those_of_its_own_part(tmp_path):
    dialogues = dialogues_of([["a", "b", "a"], ["c"]])
    store = FeatureStore(tmp_path)
    whole = store.table(SeesItsDialogue(), dialogues)  # crossval fills the store like this before the first fold
    assert {name: row.item() for name, row in whole.items()} == {
        "all/d0_0": 3, "all/d0_1": 3, "all/d0_2": 3, "all/d1_0": 1
    }  # fmt: skip
    fold = leave_one_speaker_out(dialogues)[0]
    seen = store.table(SeesItsDialogue(), select_turns(dialogues, fold.test))
    assert {name: row.item() for name, row in seen.items()} == {"all/d0_0": 2, "all/d0_2": 2}


PARTNER = "leave-one-speaker-out-partner-dev"


def read_iemocap_fold(tree, fold, protocol=PARTNER, labels="4-class", **options):
    return cut(read_corpus("iemocap", tree, labels, **options), CutConfig(protocol=protocol, fold=fold))


def counts_of(corpus):
    """Return part → class → number of turns, without unlabelled turns."""
    return {part: dict(Counter(turn.label for turn in utterances(corpus.split(part)) if turn.label)) for part in PARTS}


@pytest.fixture(scope="module")
def tree(tmp_path_factory, write_iemocap):
    return write_iemocap(tmp_path_factory.mktemp("iemocap"))


@pytest.mark.parametrize("session", "12345")
@pytest.mark.parametrize("who", "FM")
def test_every_fold_of_document_e1_has_the_expected_emotions(tree, session, who):
    fold = read_iemocap_fold(tree, f"Ses0{session}{who}", scenario="improvised")
    one = {"happy": 2, "sad": 1, "neutral": 1, "anger": 1}  # each speaker of a session has these
    assert counts_of(fold) == {"train": {"happy": 16, "sad": 8, "neutral": 8, "anger": 8}, "dev": one, "test": one}
    mixed = counts_of(read_iemocap_fold(tree, f"Ses0{session}{who}"))
    woman, man = {"happy": 3, "sad": 2, "neutral": 2, "anger": 2}, {"happy": 4, "sad": 2, "neutral": 2, "anger": 2}
    assert mixed["train"] == {"happy": 28, "sad": 16, "neutral": 16, "anger": 16}
    assert (mixed["test"], mixed["dev"]) == ((woman, man) if who == "F" else (man, woman))


@pytest.mark.parametrize(
    ("scenario", "test"),
    [
        ("improvised", {"happy": 4, "sad": 2, "neutral": 2, "anger": 2}),
        ("scripted", {"happy": 3, "sad": 2, "neutral": 2, "anger": 2}),
        ("mixed", {"happy": 7, "sad": 4, "neutral": 4, "anger": 4}),
    ],
)
def test_every_fold_of_document_e3_has_the_expected_emotions(tree, scenario, test):
    for session in "12345":
        found = counts_of(read_iemocap_fold(tree, session, "leave-one-session-out", scenario=scenario))
        assert found == {"train": {label: 3 * n for label, n in test.items()}, "dev": test, "test": test}


def test_document_e2_has_its_shares_of_five_classes(tree):
    found = counts_of(read_iemocap_fold(tree, "70-20-10", "stratified-70-20-10", "5-class"))
    whole = {"happy": 35, "sad": 20, "neutral": 20, "anger": 20, "frustrated": 20}
    assert {label: sum(found[part][label] for part in PARTS) for label in whole} == whole
    assert {part: sum(found[part].values()) for part in PARTS} == {"train": 81, "dev": 23, "test": 11}  # of 115
    assert {label: found["test"][label] for label in ("anger", "frustrated")} == {"anger": 2, "frustrated": 2}
    assert 3 <= found["test"]["happy"] <= 4


def test_session_5_has_the_rare_classes_that_only_it_has(tree):
    found = counts_of(read_iemocap_fold(tree, "5", "session-5", "10-class"))
    common = {"happy": 4, "sad": 4, "neutral": 4, "anger": 4, "excited": 3, "frustrated": 4, "surprise": 1, "fear": 1}
    assert found["test"] == {**common, "disgust": 1, "other": 1}
    assert found["dev"] == common
    assert found["train"] == {label: 3 * n for label, n in common.items()}


def test_whole_dialogues_are_cut_by_speakers_and_kept_by_sessions(tree):
    corpus = read_corpus("iemocap", tree, "4-class", view="dialogue")
    dialogues = corpus.split("all")
    names = [name for name in FOLDS if name not in ("own-splits", "cross-fit")]
    found = {name: count_cut_dialogues(dialogues, make_folds(name, dialogues)) for name in names}
    shuffled, grouped = found.pop("stratified-70-20-10"), found.pop("k-fold-speakers")
    assert found == {"leave-one-speaker-out": 11, PARTNER: 11, "leave-one-session-out": 0, "session-5": 0}
    assert 0 < grouped <= 11  # a group may hold both speakers of a session
    assert shuffled >= 10  # only the dialogue of two turns can stay whole
    test = read_iemocap_fold(tree, "Ses01F", view="dialogue").split("test")
    assert [(one.speakers, len(one)) for one in test] == [(("Ses01F",), 7), (("Ses01F",), 7)]


def test_training_on_iemocap_and_testing_on_another_corpus_is_a_fold_too(tree, tmp_path, write_nemo):
    nemo = write_nemo(tmp_path, n_each=1)
    options = {
        "train": {"reader": "iemocap", "path": str(tree), "labels": "shared-4", "options": {"scenario": "improvised"}},
        "test": {"reader": "nemo", "path": str(nemo), "labels": "shared-4"},
    }
    corpus = cut(read_corpus("cross-corpus", **options), CutConfig(protocol="own-splits"))
    found = counts_of(corpus)
    assert found["train"] == {"happiness": 16, "sadness": 8, "neutral": 8, "anger": 8}  # dev is one session of five
    assert found["dev"] == {"happiness": 4, "sadness": 2, "neutral": 2, "anger": 2}
    assert found["test"] == {"anger": 4, "happiness": 4, "neutral": 4, "sadness": 4}


def test_a_fold_is_a_corpus_with_splits(tmp_path, write_nemo):
    folder = write_nemo(tmp_path, n_each=1)
    whole = read_corpus("nemo", folder)
    corpus = cut(whole, CutConfig(protocol=LOSO, fold="BB0"))
    assert {part: {turn.speaker for turn in utterances(corpus.split(part))} for part in PARTS} == {
        "train": {"AA0", "DD0"}, "dev": {"CC0"}, "test": {"BB0"}
    }  # fmt: skip
    first = corpus.split("test")[0].utterances[0]
    assert first.id == "test/all/BB0_anger_0"
    rows = tmp_path / "rows.csv"
    rows.write_text("id,x\nall/BB0_anger_0,3\n")
    assert Precomputed(path=str(rows)).encode(corpus.split("test"))[first.id].tolist() == [3.0]
    with pytest.raises(ConfigError, match="unknown fold of leave-one-speaker-out 'BB'; did you mean 'BB0'"):
        cut(whole, CutConfig(protocol=LOSO, fold="BB"))


def tiny(*splits):
    return Corpus(
        name="tiny",
        label_set=LabelSet("emotion", ("calm",)),
        splits={
            split: tuple(
                Dialogue(f"{split}/d{d}", (Utterance(id=f"{split}/d{d}_0", speaker="abc"[d % 3], text="x"),))
                for d in range(9)
            )
            for split in splits
        },
    )


def test_without_a_protocol_a_corpus_stays_as_it_is():
    corpus = tiny("train", "dev")
    assert cut(corpus, CutConfig()) is corpus


def test_if_a_protocol_has_several_folds_the_error_names_them():
    corpus = tiny("all")
    with pytest.raises(ConfigError) as caught:
        cut(corpus, CutConfig(protocol=LOSO))
    assert caught.value.problems == (
        "data.cut.fold: leave-one-speaker-out has 3 folds (a, b, c); name one with --data.cut.fold, or run them all "
        "with dialogue-ser crossval",
    )
    with pytest.raises(ConfigError, match=r"cross-fit has 9 folds .* or run them all with dialogue-ser crossfit"):
        cut(tiny("train", "dev"), CutConfig(protocol="cross-fit", n_folds=9))
    turns = [Utterance(id=f"all/d{d}", speaker=f"s{d:02}") for d in range(20)]
    many = replace(corpus, splits={"all": tuple(Dialogue(turn.id, (turn,)) for turn in turns)})
    with pytest.raises(ConfigError, match=r"has 20 folds \(s00, .*, s11, … \(20 in all\)\)"):
        cut(many, CutConfig(protocol=LOSO))


def test_a_protocol_with_one_fold_needs_no_name_of_a_fold():
    corpus = tiny("all")
    whole = CutConfig(protocol="stratified-70-20-10", seed=2)
    assert cut(corpus, whole) == cut(corpus, replace(whole, fold="70-20-10"))
    assert cut(corpus, whole) != cut(corpus, replace(whole, seed=3))


def test_every_wrong_setting_of_a_cut_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        CutConfig(protocol="leave-one-speaker", seed=-1, n_folds=1)
    assert [problem.split(", expected")[0] for problem in caught.value.problems[1:]] == [
        "data.cut.seed: found -1", "data.cut.n_folds: found 1"
    ]  # fmt: skip
    assert "did you mean 'leave-one-speaker-out'" in caught.value.problems[0]
    with pytest.raises(ConfigError, match=r"data.cut.fold: found 'Ann' without a protocol"):
        CutConfig(fold="Ann")


def test_cross_fit_keeps_dev_and_the_train_splits_without_the_fold_under_their_own_ids():
    corpus = tiny("train", "more", "dev", "test")
    dialogues = [*corpus.split("train"), *corpus.split("more")]
    for fold in make_folds("cross-fit", dialogues, 1, 3):
        config = CutConfig(protocol="cross-fit", fold=fold.name, seed=1, n_folds=3)
        seen = cut(corpus, config, train="train+more")
        assert set(seen.splits) == {"train", "more", "dev"}
        assert seen.split("dev") == corpus.split("dev")
        ids = {turn.id for name in ("train", "more") for turn in utterances(seen.split(name))}
        assert ids == {turn.id for turn in utterances(dialogues)} - set(fold.test)


# These fingerprints come from version 0.1.0 at revision 214f9c6. A run that began with it must find the same data.
@pytest.mark.parametrize(
    ("config", "fingerprint"),
    [
        (CutConfig(protocol="own-splits"), "208e2bb5caa0be82b6df50d5abe517936f63deb5c912acbe6125b008a698ee5f"),
        (
            CutConfig(protocol="cross-fit", fold="fold-0", seed=7, n_folds=3),
            "6182a20d008ce50c77cfb138a48db8180ac10ad7e85bb83dfcabb86f31cc7f79",
        ),
        (
            CutConfig(protocol="cross-fit", fold="fold-2", seed=7, n_folds=3),
            "39092f01b7ab4b734e47cc2d5c35dea1682bc51eb2652a42dc7a065b60e3967a",
        ),
    ],
)
def test_the_corpus_of_a_fold_keeps_the_fingerprint_of_earlier_versions(config, fingerprint):
    assert cut(read_corpus("sample"), config).fingerprint() == fingerprint
