from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.metrics.predictions import prediction_rows, predictions_of, read_predictions

LABELS = ("neutral", "joy")


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
    return prediction_rows(rows, LABELS, np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]]))


def test_turns_come_in_spoken_order_and_dialogues_of_other_splits_are_other_dialogues() -> None:
    table = predictions_of(_frame())
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
    with pytest.raises(DialogueSerError, match="no readable parquet"):
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
