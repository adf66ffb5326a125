import pytest

from dialogue_ser.evaluation.suite.notes import notes_of

ROW = {"label": "a", "system": "a", "seeds": [1, 2], "comparison": None, "n_drawn": 40, "tuned": None}
TUNED = {"trials": 8, "seed": 3}


def row(**changes):
    return {**ROW, **changes}


def test_a_table_without_anything_odd_has_no_notes():
    assert notes_of("a", "dialogues", [ROW, row(label="b", system="b", comparison={"reference": "a"})], {}) == []


@pytest.mark.parametrize(
    ("rows", "failed", "note"),
    [
        ([ROW], {"b/seed1": "it fell"}, "1 run failed"),
        ([ROW], {"b/seed1": "it fell", "c/text/seed2": "too"}, "2 runs failed"),
        ([row(tuned=TUNED)], {}, "the same number of trials: 8, with seed 3. The best"),
        ([row(tuned=TUNED)], {"b/trial2": "it fell"}, "with seed 3, but some failed, so"),
        ([row(tuned=TUNED)], {"b/trial2": "it fell"}, "1 trial failed: b/trial2."),
        ([row(label="b", system="b")], {}, "No run of the reference a is finished. No comparison: b."),
        ([row(n_drawn=1)], {}, "from only 1 dialogue."),
        ([row(seeds=[1])], {}, "One seed says nothing about the spread over seeds: a."),
    ],
)
def test_what_a_reader_must_know_is_said(rows, failed, note):
    assert any(note in found for found in notes_of("a", "dialogues", rows, failed))


def test_a_failed_trial_is_no_failed_run():
    assert not any("run" in note for note in notes_of("", "folds", [row(tuned=TUNED)], {"b/trial2": "it fell"}))
