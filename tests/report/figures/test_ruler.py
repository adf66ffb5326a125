import pytest

from dialogue_ser.report.figures.ruler import ruler


def test_the_ruler_orders_run_and_floors_by_score() -> None:
    drawn = ruler("run", {"estimate": 0.6, "low": 0.55, "high": 0.65}, {"tfidf": 0.55, "majority": 0.3})
    assert [mark.text for mark in drawn.marks] == ["majority 0.300", "tfidf 0.550"]
    assert drawn.marks[0].x < drawn.marks[1].x < drawn.run.x
    assert drawn.low < drawn.run.x < drawn.high
    assert drawn.label == "run 0.600, floors tfidf 0.550, majority 0.300"


def test_equal_scores_have_one_position_and_their_texts_do_not_overlap() -> None:
    drawn = ruler("run", {"estimate": 0.5, "low": 0.5, "high": 0.5}, {"a": 0.5, "b": 0.5})
    assert {mark.x for mark in drawn.marks} == {drawn.run.x}
    assert [mark.y for mark in drawn.marks] == [100, 118]
    assert drawn.height > drawn.marks[-1].y


@pytest.mark.parametrize("estimate", [0.0, 0.02, 0.98, 1.0])
def test_everything_stays_on_the_drawing(estimate: float) -> None:
    drawn = ruler("a long name of a run", {"estimate": estimate, "low": estimate, "high": estimate}, {})
    assert 40 - 1e-6 <= drawn.run.x <= 680 + 1e-6
    assert 90 <= drawn.run_text_x <= 630
