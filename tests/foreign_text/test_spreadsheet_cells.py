"""Texts that a spreadsheet would compute are shown as text, and are read back as they were."""

import pytest

from dialogue_ser.foreign_text.spreadsheet_cells import guard, is_guarded_table, unguard

FORMULAS = ("=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3+cmd|x", "\t=1", "\r=1", "- Well, no.", "=1")
HARMLESS = (
    "",
    "fine",
    "-",
    "--",
    "a=b",
    "'tis so",
    "''",
    "1 + 1",
    "-0.5",
    "+3",
    "-1,5",
    "1e-3",
    "-12%",
    "−1",
    "'",
    " =1",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe(text) -> None:
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_and_numbers_stay_as_they_are(text) -> None:
    assert guard(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, *HARMLESS, "'=1", "''-x", "'+'=1"])
def test_every_text_is_read_back_as_it_was(text) -> None:
    assert unguard(guard(text)) == text


def test_only_tables_of_predictions_are_changed_when_they_are_read() -> None:
    shared = ["dialogue_id", "utterance_id", "turn", "speaker"]
    assert is_guarded_table([*shared, "predicted"])
    assert is_guarded_table([*shared, "predicted_valence"])
    assert not is_guarded_table(shared)
    assert not is_guarded_table(["utterance", "text", "predicted"])
