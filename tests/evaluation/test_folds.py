from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.evaluation.fold_protocols import PARTS, leave_one_speaker_out
from dialogue_ser.evaluation.folds import check_folds, cut_dialogues, folder_name, make_folds, part_of
from dialogue_ser.features.precomputed import Precomputed

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
    assert sorted(name for fold in folds for name in fold.dev) == sorted(speaker)  # everybody is dev once, too
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


def test_dev_is_the_next_speaker_in_sorted_order_and_wraps_round():
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


def test_a_protocol_that_breaks_its_promise_is_told_how():
    dialogues = dialogues_of([["a"], ["b"], ["c"]])
    ids = [turn.id for turn in utterances(dialogues)]
    folds = leave_one_speaker_out(dialogues)
    check_folds(folds, ids)
    broken = [replace(folds[0], dev=folds[0].test), replace(folds[1], train=()), folds[1]]
    with pytest.raises(CorpusError) as caught:
        check_folds(broken, ids)
    text = str(caught.value)
    for said in (
        "fold a: 1 utterances lie in two parts",
        "fold b: train is empty",
        "2 utterances are not tested exactly",
    ):
        assert said in text


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
    with pytest.raises(CorpusError, match=r"fold a: 1 ids are not of the corpus, e\.g\. all/d9_0"):
        check_folds([replace(first, train=("all/d9_0",))], ids, tests_all=False)


def test_no_name_of_a_speaker_leads_out_of_its_folder():
    names = ["../../x", "/etc", "..", "a/b", "Phoebe Sr.", "Żółw"]
    assert [folder_name(name) for name in names] == [".._.._x", "_etc", "__", "a_b", "Phoebe Sr.", "Żółw"]
    with pytest.raises(CorpusError, match="2 of them share the folder 'a_b'"):
        make_folds(LOSO, dialogues_of([["a/b"], ["a_b"], ["c"]]))


def test_dialogues_that_a_fold_cuts_are_counted():
    dialogues = dialogues_of([["a", "b"], ["a"], ["c", "c"], ["b", "c"]])
    assert cut_dialogues(dialogues, leave_one_speaker_out(dialogues)) == 2
    assert cut_dialogues(dialogues[1:3], leave_one_speaker_out(dialogues)) == 0


def test_parts_of_dialogues_keep_order_and_drop_empty_ones():
    dialogues = dialogues_of([["a", "b", "a"], ["b"]])
    (kept,) = part_of(dialogues, {"all/d0_2", "all/d0_0"})
    assert [turn.id for turn in kept] == ["all/d0_0", "all/d0_2"]


def test_a_fold_can_be_read_as_a_corpus_with_splits(tmp_path, write_nemo):
    folder = write_nemo(tmp_path, n_each=1)
    place = "dialogue_ser.evaluation.folds:read_fold"
    corpus = read_corpus(place, folder, corpus="nemo", protocol=LOSO, fold="BB0")
    assert {part: {turn.speaker for turn in utterances(corpus.split(part))} for part in PARTS} == {
        "train": {"AA0", "DD0"}, "dev": {"CC0"}, "test": {"BB0"}
    }  # fmt: skip
    first = corpus.split("test")[0].utterances[0]
    assert first.id == "test/all/BB0_anger_0"
    rows = tmp_path / "rows.csv"
    rows.write_text("id,x\nall/BB0_anger_0,3\n")
    assert Precomputed(path=str(rows)).encode(corpus.split("test"))[first.id].tolist() == [3.0]
    with pytest.raises(ConfigError, match="unknown fold of leave-one-speaker-out 'BB'; did you mean 'BB0'"):
        read_corpus(place, folder, corpus="nemo", protocol=LOSO, fold="BB")
