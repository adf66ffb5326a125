from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.floors import linear_probe, majority, tfidf_logistic
from dialogue_ser.metrics.predictions import Predictions, predictions_of, read_predictions
from dialogue_ser.metrics.scores import scores_from_confusion


@pytest.fixture
def turns(run_dir: Path) -> Predictions:
    return read_predictions(run_dir / "predictions.parquet")


def _f1(table: Predictions, split: str = "test") -> float:
    return scores_from_confusion(table.split(split).confusions().sum(0).astype(int), table.labels).weighted_f1


def test_every_floor_gives_the_same_turns_and_columns_as_predictions_parquet(turns: Predictions) -> None:
    rng = np.random.default_rng(0)
    features = {name: rng.normal(size=4) for name in turns.frame["utterance_id"]}
    for table in (majority(turns), tfidf_logistic(turns), linear_probe(turns, features)):
        assert list(table.frame.columns) == list(turns.frame.columns)
        for column in ("split", "dialogue_id", "utterance_id", "turn", "speaker", "text"):
            assert table.frame[column].tolist() == turns.frame[column].tolist()
        np.testing.assert_array_equal(table.gold_N, turns.gold_N)
        np.testing.assert_allclose(table.probabilities_NC.sum(-1), 1)
        np.testing.assert_array_equal(table.predicted_N, table.probabilities_NC.argmax(-1))


def test_majority_is_trains_most_frequent_class_with_trains_frequencies(turns: Predictions) -> None:
    table = majority(turns)
    gold = turns.split("train").frame["gold"]
    assert set(table.frame["predicted"]) == {gold.mode()[0]}
    assert table.frame["p_fear"].iloc[0] == pytest.approx((gold == "fear").mean())


def test_words_that_tell_the_emotion_beat_the_majority(turns: Predictions) -> None:
    assert _f1(tfidf_logistic(turns)) > _f1(majority(turns)) + 0.2


def test_test_labels_never_reach_a_floor(turns: Predictions) -> None:
    frame = turns.frame.copy()
    is_test = frame["split"] == "test"
    frame.loc[is_test, "gold"] = frame.loc[is_test, "gold"].sample(frac=1, random_state=0).to_numpy()
    scrambled = predictions_of(frame)
    np.testing.assert_array_equal(tfidf_logistic(turns).probabilities_NC, tfidf_logistic(scrambled).probabilities_NC)


def test_dev_chooses_the_regularisation(turns: Predictions) -> None:
    each = {c: _f1(tfidf_logistic(turns, inverse_regularisation=[c]), "dev") for c in (1e-4, 1.0)}
    assert each[1.0] > each[1e-4]
    assert _f1(tfidf_logistic(turns, inverse_regularisation=list(each)), "dev") == each[1.0]


def test_features_that_hold_the_answer_are_read_off_despite_gaps_and_constant_columns(turns: Predictions) -> None:
    rows = {}
    for name, gold in zip(turns.frame["utterance_id"], turns.gold_N, strict=True):
        rows[name] = np.append(np.eye(7)[max(gold, 0)], [3.0, np.nan])
    missing = turns.frame["utterance_id"].iloc[5]
    del rows[missing]
    table = linear_probe(turns, rows)
    assert _f1(table) > 0.95
    assert np.isfinite(table.probabilities_NC).all()


def test_features_of_no_or_several_lengths_are_refused(turns: Predictions) -> None:
    ids = list(turns.frame["utterance_id"])
    with pytest.raises(DialogueSerError, match="no row for any"):
        linear_probe(turns, {"other": [1.0]})
    with pytest.raises(DialogueSerError, match=r"\(2,\), \(3,\)"):
        linear_probe(turns, {ids[0]: [1.0, 2.0], ids[1]: [1.0, 2.0, 3.0]})


def test_a_class_that_train_lacks_gets_probability_zero(turns: Predictions) -> None:
    frame = turns.frame.copy()
    frame["gold"] = frame["gold"].astype(object).where((frame["split"] != "train") | (frame["gold"] != "fear"), None)
    assert (tfidf_logistic(predictions_of(frame)).frame["p_fear"] == 0).all()


def test_what_nothing_can_be_learnt_from_is_refused(turns: Predictions) -> None:
    one_class = predictions_of(turns.frame.assign(gold="joy"))
    with pytest.raises(DialogueSerError, match="one class only"):
        tfidf_logistic(one_class)
    with pytest.raises(DialogueSerError, match="'nowhere'"):
        majority(turns, train="nowhere")
    with pytest.raises(DialogueSerError, match="no labelled turn"):
        majority(predictions_of(turns.frame.assign(gold=pd.Series([None] * len(turns), dtype=object))))
