"""The policies for ties, on votes that were counted by hand."""

import pytest

from dialogue_ser.corpus.label_maps import IEMOCAP_MAPS
from dialogue_ser.corpus.votes import count_votes, decide_label

FOUR, TEN, ALL = (IEMOCAP_MAPS[name] for name in ("4-class", "10-class", "all"))
NOBODY_AGREES = [("neutral",), ("anger",), ("frustrated",)]
MERGING_BREAKS_THE_TIE = [("neutral",), ("excited",), ("happy",)]
TWO_AGAINST_TWO = [("frustrated", "anger"), ("frustrated",), ("anger",)]


def test_an_annotator_of_two_classes_votes_for_both_and_once_for_their_merged_class():
    assert count_votes([("happy", "excited"), ("excited",), ("anger", "sad")], TEN) == {
        "happy": 1, "excited": 2, "anger": 1, "sad": 1
    }  # fmt: skip
    assert count_votes([("happy", "excited"), ("excited",), ("frustrated",)], FOUR) == {"happy": 2, "frustrated": 1}


@pytest.mark.parametrize("ties", ["unlabelled", "recount", "first", "soft"])
def test_no_policy_changes_a_stated_majority(ties):
    choices = [("neutral",), ("anger",), ("anger",), ("frustrated",)]
    assert decide_label("anger", choices, FOUR, ties) == ("anger", {"neutral": 1, "anger": 2})
    assert decide_label("excited", [("excited",), ("happy",)], FOUR, ties) == ("happy", {"happy": 2})
    assert decide_label("frustrated", choices, FOUR, ties) == (None, None)
    assert decide_label("sad", [], FOUR, ties) == ("sad", None)


@pytest.mark.parametrize("choices", [NOBODY_AGREES, MERGING_BREAKS_THE_TIE, TWO_AGAINST_TWO, []])
def test_with_unlabelled_a_tie_gets_no_label(choices):
    for label_map in (FOUR, TEN):
        assert decide_label(None, choices, label_map, "unlabelled") == (None, None)


def test_recount_gives_a_label_only_if_merged_classes_break_the_tie():
    assert decide_label(None, MERGING_BREAKS_THE_TIE, FOUR, "recount") == ("happy", {"neutral": 1, "happy": 2})
    assert decide_label(None, MERGING_BREAKS_THE_TIE, TEN, "recount") == (None, None)
    assert decide_label(None, NOBODY_AGREES, FOUR, "recount") == (None, None)
    assert decide_label(None, [], FOUR, "recount") == (None, None)


def test_first_chooses_the_tied_class_that_was_named_first_if_it_is_in_the_set():
    assert decide_label(None, MERGING_BREAKS_THE_TIE, FOUR, "first")[0] == "happy"
    assert decide_label(None, NOBODY_AGREES, FOUR, "first") == ("neutral", {"neutral": 1, "anger": 1})
    assert decide_label(None, TWO_AGAINST_TWO, TEN, "first")[0] == "frustrated"
    assert decide_label(None, TWO_AGAINST_TWO, FOUR, "first") == (None, None)
    assert decide_label(None, [], FOUR, "first") == (None, None)


def test_soft_keeps_votes_only_if_all_tied_classes_are_in_the_set():
    assert decide_label(None, TWO_AGAINST_TWO, TEN, "soft") == (None, {"frustrated": 2, "anger": 2})
    assert decide_label(None, TWO_AGAINST_TWO, FOUR, "soft") == (None, None)
    assert decide_label(None, [("sad",), ("anger",)], FOUR, "soft") == (None, {"sad": 1, "anger": 1})
    assert decide_label(None, [], FOUR, "soft") == (None, None)


def test_the_label_set_all_has_a_class_for_turns_without_a_label():
    assert decide_label(None, NOBODY_AGREES, ALL, "unlabelled") == ("undecided", None)
    assert decide_label(None, NOBODY_AGREES, ALL, "soft") == ("undecided", None)
    assert decide_label(None, NOBODY_AGREES, ALL, "first")[0] == "neutral"
