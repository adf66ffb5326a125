from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.corpus.cut import make_folds
from dialogue_ser.corpus.protocols import FOLDS, PARTS, leave_one_group_out
from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import CorpusError

PARTNER, SESSIONS, LAST = "leave-one-speaker-out-partner-dev", "leave-one-session-out", "session-5"
STRATIFIED, OWN, GROUPS = "stratified-70-20-10", "own-splits", "k-fold-speakers"


def one_turn(name, speaker="a", label=None, **attributes):
    return Dialogue(f"all/{name}", (Utterance(id=f"all/{name}", speaker=speaker, label=label, attributes=attributes),))


def pairs(n_sessions=5):
    """Make sessions of two speakers with two turns each, named as in IEMOCAP."""
    return [
        one_turn(f"Ses0{session}{who}_{number}", f"Ses0{session}{who}", session=str(session))
        for session in range(1, n_sessions + 1)
        for who in "FM"
        for number in (0, 1)
    ]


def who(fold, part):
    return sorted({name.removeprefix("all/").partition("_")[0] for name in getattr(fold, part)})


def test_ten_folds_each_with_the_other_speaker_of_the_session_as_dev():
    folds = make_folds(PARTNER, pairs())
    expected = [f"Ses0{session}{who}" for session in range(1, 6) for who in "FM"]
    assert [fold.name for fold in folds] == expected
    for fold in folds:
        partner = fold.name[:-1] + ("M" if fold.name.endswith("F") else "F")
        assert who(fold, "test") == [fold.name]
        assert who(fold, "dev") == [partner]
        assert who(fold, "train") == [name for name in expected if name not in (fold.name, partner)]
        assert [len(getattr(fold, part)) for part in PARTS] == [16, 2, 2]


def test_five_folds_of_whole_sessions_with_the_next_as_dev():
    folds = make_folds(SESSIONS, pairs())
    assert [(fold.name, who(fold, "test"), who(fold, "dev")) for fold in folds] == [
        ("1", ["Ses01F", "Ses01M"], ["Ses02F", "Ses02M"]),
        ("2", ["Ses02F", "Ses02M"], ["Ses03F", "Ses03M"]),
        ("3", ["Ses03F", "Ses03M"], ["Ses04F", "Ses04M"]),
        ("4", ["Ses04F", "Ses04M"], ["Ses05F", "Ses05M"]),
        ("5", ["Ses05F", "Ses05M"], ["Ses01F", "Ses01M"]),
    ]


def test_session_5_is_only_the_last_fold_of_leave_one_session_out():
    assert make_folds(LAST, pairs()) == make_folds(SESSIONS, pairs())[-1:]
    with pytest.raises(CorpusError, match=r"no session 5 \(it has 1, 2, 3, 4\); use leave-one-session-out"):
        make_folds(LAST, pairs(4))


@pytest.mark.parametrize("protocol", [PARTNER, SESSIONS, LAST])
def test_the_error_about_missing_sessions_names_another_protocol(protocol):
    some = [*pairs(3), one_turn("x", "Bo")]
    with pytest.raises(CorpusError, match=r"1 of 13 utterances have no session, e\.g\. all/x; .*iemocap.* or another"):
        make_folds(protocol, some)


def test_partners_must_be_two_and_stay_in_their_session():
    three = [*pairs(2), one_turn("x", "Bo", session="1"), one_turn("y", "Cy", session="3")]
    with pytest.raises(CorpusError) as caught:
        make_folds(PARTNER, [*three, one_turn("z", "Ses01F", session="3"), one_turn("w", "Di", session="3")])
    text = str(caught.value)
    assert "session 1 has 3 speaker(s) (Bo, Ses01F, Ses01M)" in text
    assert "session 3 has 3 speaker(s) (Cy, Di, Ses01F)" in text
    assert "Ses01F speaks in the sessions 1, 3, so this speaker would be in train and in test" in text
    with pytest.raises(CorpusError, match=r"found 1 session\(s\)"):
        make_folds(PARTNER, pairs(1))


def labelled(counts):
    return [one_turn(f"{label}{i}", label=label or None) for label, n in counts.items() for i in range(n)]


@given(
    st.dictionaries(st.sampled_from(["anger", "joy", "calm", ""]), st.integers(0, 60), min_size=1).filter(
        lambda counts: sum(counts.values()) >= 20
    ),
    st.integers(0, 5),
)
def test_every_class_has_its_share_of_every_part(counts, seed):
    dialogues = labelled(counts)
    label = {turn.id: turn.label or "" for turn in utterances(dialogues)}
    [fold] = make_folds(STRATIFIED, dialogues, seed)
    n = len(dialogues)
    for part, share in (("train", 0.7), ("dev", 0.2), ("test", 0.1)):
        ids = getattr(fold, part)
        assert abs(len(ids) - share * n) < 1
        found = Counter(label[name] for name in ids)
        assert all(abs(found[name] - share * counts[name]) < 2 for name in counts)
    assert sorted((*fold.train, *fold.dev, *fold.test)) == sorted(label)


def test_the_draw_depends_on_the_seed_and_on_nothing_else():
    dialogues = labelled({"anger": 40, "joy": 40})
    [fold] = make_folds(STRATIFIED, dialogues, 0)
    [again] = make_folds(STRATIFIED, dialogues[::-1], 0)
    [other] = make_folds(STRATIFIED, dialogues, 1)
    assert set(fold.test) == set(again.test) != set(other.test)
    assert len(fold.test) == 8


def test_own_splits_do_not_change():
    ids = ["train/a", "train/b", "dev/c", "test/d", "extra/e"]
    dialogues = [Dialogue(name, (Utterance(id=name, speaker="x"),)) for name in ids]
    [fold] = make_folds(OWN, dialogues)
    assert (fold.train, fold.dev, fold.test) == (("train/a", "train/b"), ("dev/c",), ("test/d",))
    with pytest.raises(CorpusError, match=r"no split train and no split dev and no split test \(it has all\)"):
        make_folds(OWN, pairs(1))


def spoken_by(turns):
    """Make dialogues of one turn. ``turns`` gives each speaker's number of them."""
    return [one_turn(f"{speaker}_{number}", speaker) for speaker, n in turns.items() for number in range(n)]


@given(
    st.dictionaries(st.sampled_from("abcdefghijklmnop"), st.integers(1, 40), min_size=3),
    st.integers(3, 6),
    st.integers(0, 3),
)
def test_groups_share_no_speaker_and_have_nearly_equal_sizes(turns, n_folds, seed):
    dialogues = spoken_by(turns)
    if len(turns) < n_folds:
        with pytest.raises(CorpusError, match=rf"{len(turns)} speaker\(s\) cannot make {n_folds} groups"):
            make_folds(GROUPS, dialogues, seed, n_folds)
        return
    folds = make_folds(GROUPS, dialogues, seed, n_folds)
    assert [fold.name for fold in folds] == [f"group-{number}" for number in range(1, n_folds + 1)]
    for fold, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        assert sum(len(who(fold, part)) for part in PARTS) == len(turns)  # nobody is in two parts
        assert fold.dev == following.test
    sizes = [len(fold.test) for fold in folds]
    assert sum(sizes) == len(dialogues)
    assert max(sizes) - min(sizes) <= max(turns.values())
    assert {frozenset(fold.test) for fold in make_folds(GROUPS, dialogues[::-1], seed, n_folds)} == {
        frozenset(fold.test) for fold in folds
    }


def test_the_seed_changes_the_groups_even_if_all_speakers_have_different_numbers_of_turns():
    dialogues = spoken_by({name: 30 + number for number, name in enumerate("abcdefghi")})
    groups = [{frozenset(who(fold, "test")) for fold in make_folds(GROUPS, dialogues, seed, 3)} for seed in range(4)]
    assert len({frozenset(found) for found in groups}) > 1
    assert groups[0] == {frozenset(who(fold, "test")) for fold in make_folds(GROUPS, dialogues, 0, 3)}


def test_names_of_many_groups_sort_by_their_numbers():
    folds = make_folds(GROUPS, spoken_by(dict.fromkeys("abcdefghijkl", 2)), n_folds=12)
    assert [fold.name for fold in folds][::11] == ["group-01", "group-12"]


def test_two_groups_leave_nothing_for_training():
    with pytest.raises(CorpusError, match=r"found 2 folds, but train, dev and test need a group each"):
        make_folds(GROUPS, spoken_by({"a": 2, "b": 2, "c": 2}), n_folds=2)


def test_cross_fit_puts_every_dialogue_into_one_fold_of_equal_size_and_has_no_dev():
    dialogues = [
        Dialogue(f"train/d{d}", tuple(Utterance(id=f"train/d{d}_{i}", speaker="x") for i in range(1 + d % 3)))
        for d in range(19)
    ]
    folds = make_folds("cross-fit", dialogues, 3, 4)
    assert [fold.name for fold in folds] == ["fold-0", "fold-1", "fold-2", "fold-3"]
    tested = [{name.partition("_")[0] for name in fold.test} for fold in folds]
    assert sorted(name for found in tested for name in found) == sorted(one.id for one in dialogues)
    assert {len(found) for found in tested} == {4, 5}
    assert all(not fold.dev for fold in folds)
    assert all(not set(fold.train) & set(fold.test) for fold in folds)
    assert make_folds("cross-fit", dialogues, 3, 4) == folds
    assert make_folds("cross-fit", dialogues, 4, 4) != folds


def test_only_protocols_without_tests_all_leave_turns_untested():
    whole = [
        Dialogue(d.id.replace("all", split, 1), tuple(replace(t, id=t.id.replace("all", split, 1)) for t in d))
        for split, d in zip(["train", "dev", "test"] * 10, pairs(), strict=False)
    ]
    tests_all = {}
    for name in FOLDS:
        tested = [one for fold in make_folds(name, whole) for one in fold.test]
        assert len(tested) == len(set(tested))
        tests_all[name] = len(tested) == len(whole)
    assert tests_all == {name: protocol.tests_all for name, protocol in FOLDS.items()}
    assert sorted(name for name, every in tests_all.items() if not every) == [OWN, LAST, STRATIFIED]


def test_the_next_group_in_sorted_order_is_dev_and_after_the_last_comes_the_first():
    folds = leave_one_group_out({"u1": "b", "u2": "a", "u3": "c", "u4": "a"})
    assert [(fold.name, fold.test, fold.dev, fold.train) for fold in folds] == [
        ("a", ("u2", "u4"), ("u1",), ("u3",)),
        ("b", ("u1",), ("u3",), ("u2", "u4")),
        ("c", ("u3",), ("u2", "u4"), ("u1",)),
    ]
