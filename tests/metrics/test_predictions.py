from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.metrics.confusion import confusion_matrix
from dialogue_ser.metrics.predictions import (
    ClassPredictions,
    ValuePredictions,
    predictions_of,
    read_predictions,
)
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks.classification import Classification

LABELS = ("neutral", "joy")
NAN = float("nan")


def _frame() -> pd.DataFrame:
    rows = [
        {
            "split": split,
            "dialogue_id": dialogue,
            "utterance_id": f"{split}/{dialogue}_{turn}",
            "turn": turn,
            "speaker": "Ross",
            "text": "NA",
            "gold": gold,
        }
        for split, dialogue, turn, gold in (
            ("train", "d1", 0, "joy"),
            ("test", "d1", 3, "joy"),
            ("test", "d2", 0, None),
            ("test", "d1", 1, "neutral"),
        )
    ]
    numbers = np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    return pd.DataFrame(rows).assign(**Classification(LabelSet("any", LABELS)).prediction_columns(numbers))


def _value_frame(**changed: object) -> pd.DataFrame:
    """Return five turns with two dimensions. The second turn has no gold arousal, the last one no gold at all."""
    columns = {
        "split": "test",
        "dialogue_id": ["d1", "d1", "d2", "d2", "d2"],
        "utterance_id": [f"test/{number}" for number in range(5)],
        "turn": [0, 1, 0, 1, 2],
        "speaker": "Ross",
        "text": "…",
        "gold_valence": [1.0, 2.0, 3.0, 4.0, NAN],
        "gold_arousal": [4.0, NAN, 2.0, 1.0, NAN],
        "predicted_valence": [1.5, 2.0, 2.0, 4.0, 9.0],
        "predicted_arousal": [4.0, 9.0, 2.0, 3.0, 9.0],
    }
    return pd.DataFrame(columns | changed)


def test_turns_come_in_spoken_order_and_dialogues_of_other_splits_are_other_dialogues() -> None:
    table = predictions_of(_frame())
    assert isinstance(table, ClassPredictions)
    assert table.labels == LABELS
    assert table.dialogue_N.tolist() == [0, 1, 1, 2]
    assert table.split("test").frame["turn"].tolist() == [1, 3, 0]
    assert table.split("test").gold_N.tolist() == [0, 1, -100]
    assert table.predicted_N.tolist() == [1, 1, 1, 0]


def test_a_table_survives_parquet_with_its_texts_and_missing_labels(tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "predictions.parquet")
    table = read_predictions(tmp_path / "predictions.parquet")
    assert table.frame["text"].tolist() == ["NA"] * 4
    assert table.gold_N.tolist() == [1, 0, 1, -100]
    np.testing.assert_array_equal(table.probabilities_NC[0], [0.4, 0.6])


def test_every_bad_row_stands_in_one_error() -> None:
    frame = _frame()
    frame.loc[0, "gold"] = "joyful"
    frame.loc[1, "utterance_id"] = frame.loc[2, "utterance_id"]
    frame.loc[3, "predicted"] = None
    with pytest.raises(DialogueSerError) as error:
        predictions_of(frame)
    text = str(error.value)
    assert len(error.value.problems) == 3
    assert "did you mean 'joy'" in text
    assert "occurs twice" in text
    assert "no prediction" in text


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(DialogueSerError) as error:
        predictions_of(_frame().drop(columns=["speaker", "turn", "p_joy", "p_neutral"]))
    assert len(error.value.problems) == 3


def test_a_missing_or_damaged_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="finished run directory"):
        read_predictions(tmp_path / "predictions.parquet")
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(DialogueSerError, match="not a readable parquet"):
        read_predictions(tmp_path / "predictions.parquet")


def test_another_order_of_the_same_turns_is_aligned() -> None:
    table = predictions_of(_frame())
    shuffled = predictions_of(_frame().iloc[[2, 3, 0, 1]])
    aligned = shuffled.aligned_to(table)
    assert aligned.frame["utterance_id"].tolist() == table.frame["utterance_id"].tolist()
    np.testing.assert_array_equal(aligned.probabilities_NC, table.probabilities_NC)


def test_other_turns_or_gold_are_not_aligned() -> None:
    table = predictions_of(_frame())
    with pytest.raises(DialogueSerError, match="turns only here"):
        predictions_of(_frame().iloc[:3]).aligned_to(table)
    changed = _frame()
    changed.loc[0, "gold"] = "neutral"
    with pytest.raises(DialogueSerError, match="different gold"):
        predictions_of(changed).aligned_to(table)


def test_an_unknown_split_is_named_with_the_known_ones() -> None:
    with pytest.raises(DialogueSerError, match="did you mean 'test'"):
        predictions_of(_frame()).split("tset")


def test_columns_that_hold_no_numbers_are_named() -> None:
    with pytest.raises(DialogueSerError) as caught:
        predictions_of(_frame().assign(p_joy="much", turn="first"))
    assert ["p_joy" in problem or "turn" in problem for problem in caught.value.problems] == [True, True]


def test_columns_tell_of_which_kind_a_table_is() -> None:
    table = predictions_of(_value_frame())
    assert isinstance(table, ValuePredictions)
    assert (table.kind, table.names) == ("regression", ("valence", "arousal"))
    assert table.gold_columns == ("gold_valence", "gold_arousal")
    assert predictions_of(_frame()).gold_columns == ("gold",)


def test_a_turn_with_a_value_in_one_dimension_is_labelled() -> None:
    table = predictions_of(_value_frame())
    assert table.is_labelled_N.tolist() == [True, True, True, True, False]
    assert table.has_gold
    assert not table.rows(np.array([4])).has_gold


def test_values_are_scored_per_dimension_where_they_are_annotated() -> None:
    table = predictions_of(_value_frame())
    # valence: |1 − 1.5|, 0, |3 − 2|, 0 of four; arousal: 0, 0, |1 − 3| of three
    assert table.value(METRICS["mae"]) == pytest.approx((1.5 / 4 + 2 / 3) / 2)
    assert table.value(METRICS["mse"]) == pytest.approx((1.25 / 4 + 4 / 3) / 2)


def test_a_function_of_turns_gets_what_is_annotated_completely() -> None:
    given = []

    def keep(gold: np.ndarray, predicted: np.ndarray) -> float:
        given.append((gold.tolist(), predicted.tolist()))
        return 0.25

    metric = Metric(key="keep", heading="keep", function=keep)
    assert predictions_of(_value_frame()).value(metric) == 0.25
    assert given.pop() == ([[1.0, 4.0], [3.0, 2.0], [4.0, 1.0]], [[1.5, 4.0], [2.0, 2.0], [4.0, 3.0]])
    predictions_of(_frame()).value(metric)
    assert given.pop() == (["joy", "neutral", "joy"], ["joy", "joy", "joy"])


def test_a_metric_of_the_other_kind_is_refused() -> None:
    with pytest.raises(DialogueSerError, match="holds a regression, but uar is a metric of classification"):
        predictions_of(_value_frame()).value(METRICS["uar"])
    with pytest.raises(DialogueSerError, match="holds a classification, but ccc is a metric of regression"):
        predictions_of(_frame()).value(METRICS["ccc"])
    of_probabilities = Metric(key="sure", heading="sure", function=max, needs="probabilities")
    with pytest.raises(DialogueSerError, match="holds a regression, but sure is a metric of classification"):
        predictions_of(_value_frame()).value(of_probabilities)


def test_a_function_that_fails_is_named_and_one_that_is_undefined_gives_nothing() -> None:
    table = predictions_of(_frame())
    broken = Metric(key="broken", heading="broken", function=lambda gold, predicted: 1 / 0)
    with pytest.raises(DialogueSerError, match="metric broken: its function failed: ZeroDivisionError"):
        table.value(broken)
    assert table.value(Metric(key="none", heading="none", function=lambda gold, predicted: None)) is None
    assert table.value(Metric(key="nan", heading="nan", function=lambda gold, predicted: NAN)) is None


def test_statistics_of_groups_sum_to_those_of_all_turns() -> None:
    classes, values = predictions_of(_frame()), predictions_of(_value_frame())
    assert isinstance(classes, ClassPredictions)
    expected = confusion_matrix(classes.gold_N, classes.predicted_N, 2)
    np.testing.assert_array_equal(classes.statistics(np.array([1, 0, 1, 0])).sum(0), expected)
    np.testing.assert_array_equal(classes.statistics().sum(0), expected)
    groups = np.array([0, 1, 2, 0, 1])
    np.testing.assert_allclose(values.statistics(groups).sum(0), values.statistics().sum(0))
    assert values.statistics(groups).shape == (3, 2, 7)
    assert values.statistics().sum(0)[:, 0].tolist() == [4, 3]


def test_rows_are_chosen_by_mask_or_by_positions_that_may_repeat() -> None:
    table = predictions_of(_value_frame())
    assert table.rows(table.gold_NS[:, 0] > 2).frame["turn"].tolist() == [0, 1]
    twice = table.rows(np.array([3, 0, 3]))
    assert twice.frame["utterance_id"].tolist() == ["test/3", "test/0", "test/3"]
    assert twice.predicted_NS[:, 0].tolist() == [4.0, 1.5, 4.0]


def test_every_bad_column_and_turn_of_values_stands_in_one_error() -> None:
    frame = _value_frame(predicted_valence=["high"] * 5, gold_arousal=["low"] * 5, turn=list("abcde"))
    with pytest.raises(DialogueSerError) as caught:
        predictions_of(frame)
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert all(name in text for name in ("predicted_valence", "gold_arousal", "column turn"))
    frame = _value_frame(predicted_arousal=[1.0, NAN, 2.0, 3.0, float("inf")], utterance_id=["a", "b", "a", "d", "e"])
    with pytest.raises(DialogueSerError) as caught:
        predictions_of(frame)
    assert caught.value.problems == (
        "predictions: 2 turns have no prediction; predict every turn",
        "predictions: utterance 'a' occurs twice; ids must be unique inside a split",
    )
    with pytest.raises(DialogueSerError) as caught:
        predictions_of(_value_frame().drop(columns=["gold_valence", "speaker"]))
    assert [name in str(caught.value) for name in ("'gold_valence' is missing", "'speaker' is missing")] == [True, True]


def test_values_are_aligned_with_missing_gold_equal_to_missing_gold() -> None:
    table = predictions_of(_value_frame())
    shuffled = predictions_of(_value_frame().iloc[[3, 1, 4, 0, 2]])
    np.testing.assert_array_equal(shuffled.aligned_to(table).predicted_NS, table.predicted_NS)
    changed = predictions_of(_value_frame(gold_arousal=[4.0, 1.0, 2.0, 1.0, NAN]))
    with pytest.raises(DialogueSerError, match="1 turns have different gold labels, first test/1"):
        changed.aligned_to(table)
    with pytest.raises(DialogueSerError, match="a classification against a regression"):
        predictions_of(_frame()).split("test").aligned_to(table)


def test_dimensions_in_another_order_are_aligned_by_name() -> None:
    table = predictions_of(_value_frame())
    frame = _value_frame()
    turned = frame[[*frame.columns[:-2], "predicted_arousal", "predicted_valence"]]
    assert predictions_of(turned).names == ("arousal", "valence")
    np.testing.assert_array_equal(predictions_of(turned).aligned_to(table).predicted_NS, table.predicted_NS)


@pytest.mark.parametrize("frame", [_frame(), _value_frame()], ids=["classes", "values"])
def test_parts_of_a_table_in_use_are_those_of_a_table_that_nobody_used(frame: pd.DataFrame) -> None:
    for chosen in (np.array([2, 1, 2]), np.arange(len(frame)) % 2 == 1):
        used = predictions_of(frame)
        assert used.statistics().any()
        assert used.value(METRICS["auc" if used.kind == "classification" else "ccc"]) is not None
        mine, fresh = used.rows(chosen), predictions_of(frame).rows(chosen)
        assert mine.dialogue_N.tolist() == fresh.dialogue_N.tolist()
        for name in (*mine._row_arrays, "is_labelled_N"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(fresh, name))
        np.testing.assert_array_equal(mine.statistics(), fresh.statistics())
