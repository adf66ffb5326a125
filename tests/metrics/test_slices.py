import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.metrics.slices import (
    bin_names,
    bin_of_each,
    dialogue_lengths,
    emotion_change,
    emotion_shift,
    turn_positions,
    turn_words,
)


def test_shift_is_judged_against_the_same_speakers_previous_turn_not_the_previous_turn() -> None:
    gold = np.array([0, 1, 0, 1, 2])
    names = emotion_shift(gold, np.zeros(5, dtype=int), ["a", "b", "a", "b", "a"])
    first = "first turn of speaker"
    assert names.tolist() == [first, first, "stayed", "stayed", "shifted"]


def test_a_speaker_starts_anew_in_every_dialogue() -> None:
    names = emotion_shift(np.array([0, 1]), np.array([0, 1]), ["a", "a"])
    assert names.tolist() == ["first turn of speaker"] * 2


def test_unlabelled_turns_are_in_no_slice_and_are_looked_through() -> None:
    names = emotion_shift(np.array([0, -100, 0]), np.zeros(3, dtype=int), ["a", "a", "a"])
    assert names.tolist() == ["first turn of speaker", "", "stayed"]


def test_positions_count_turns_not_ids_and_lengths_belong_to_the_dialogue() -> None:
    dialogue = np.array([0, 0, 0, 1, 2, 2])
    assert turn_positions(dialogue).tolist() == [1, 2, 3, 1, 1, 2]
    assert dialogue_lengths(dialogue).tolist() == [3, 3, 3, 1, 2, 2]


@pytest.mark.parametrize(("value", "name"), [(1, "1"), (2, "2–3"), (3, "2–3"), (4, "4–6"), (7, "7+"), (33, "7+")])
def test_bins_are_named_by_what_they_hold(value: int, name: str) -> None:
    assert bin_of_each(np.array([value]), (1, 2, 4, 7)).tolist() == [name]


@given(st.lists(st.integers(1, 60), min_size=1))
def test_every_value_falls_into_exactly_one_named_bin(values: list[int]) -> None:
    edges = (1, 2, 5, 9, 14)
    assert set(bin_of_each(np.array(values), edges)) <= set(bin_names(edges))


def test_a_change_is_judged_against_the_previous_labelled_turn_of_any_speaker() -> None:
    names = emotion_change(np.array([0, 1, -100, 1, 0, 0]), np.array([0, 0, 0, 0, 1, 1]))
    first = "first turn of dialogue"
    assert names.tolist() == [first, "changed", "", "same", first, "same"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Oh.", "1–2"), ("don't you dare", "3–5"), ("- … !", "no text"), ("", "no text"), (None, "no text"),
     (float("nan"), "no text"), ("我很高兴", "3–5"), ("मैं बहुत खुश हूँ", "3–5"), ("a " * 21, "21+")],
)  # fmt: skip
def test_words_are_counted_between_spaces_and_by_letter_where_no_spaces_are_written(text: object, name: str) -> None:
    assert turn_words([text]).tolist() == [name]
