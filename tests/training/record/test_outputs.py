import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.metrics.predictions import read_predictions
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.loop.predict import Predicted
from dialogue_ser.training.record.outputs import (
    peak_memory_bytes,
    predictions_frame,
    write_attention,
    write_predictions,
)

CLASSES = Classification(LabelSet("emotion", ("calm", "glad")))
PROBABILITIES = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])


@pytest.fixture
def predictions():
    """A split of two dialogues (one id with its split in front), one turn unlabelled and without text."""
    first = Dialogue("test/d1", (Utterance(id="test/d1_u0", speaker="Ann", text="Hi", label="calm"),
                                 Utterance(id="test/d1_u2", speaker="Bo")))  # fmt: skip
    second = Dialogue("d2", (Utterance(id="test/d2_u0", speaker="Ann", text="None", label="glad"),))
    attention = {"test/d1/forward": torch.eye(2), "d2/forward": torch.zeros(1, 1)}
    return {"test": ((first, second), Predicted(outputs_NS=np.log(PROBABILITIES), loss=0.5, attention=attention))}


def test_unlabelled_turns_keep_their_row_and_have_no_gold(predictions, tmp_path):
    write_predictions(tmp_path / "predictions.parquet", predictions_frame(predictions, CLASSES))
    frame = pd.read_parquet(tmp_path / "predictions.parquet")
    assert frame["utterance_id"].tolist() == ["test/d1_u0", "test/d1_u2", "test/d2_u0"]
    assert frame["turn"].tolist() == [0, 1, 0]
    assert frame["gold"].isna().tolist() == [False, True, False]
    assert frame["text"].iloc[2] == "None"  # a text like any other
    assert frame["predicted"].tolist() == ["calm", "glad", "calm"]
    np.testing.assert_allclose(frame[["p_calm", "p_glad"]], PROBABILITIES)
    assert read_predictions(tmp_path / "predictions.parquet").labels == ("calm", "glad")


def test_values_stand_beside_gold_ones_and_turns_without_annotation_have_nan(tmp_path):
    task = Regression(("valence", "arousal"), centres=(3.0, 3.0), scales=(2.0, 2.0))
    turns = (Utterance(id="a", speaker="Ann", text="Hi", targets={"arousal": 4.5}), Utterance(id="b", speaker="Bo"))
    outputs = np.array([[1.0, 2.0], [0.1 + 0.2, -5.0]])
    predicted = {"dev": ((Dialogue("d", turns),), Predicted(outputs_NS=outputs, loss=None))}
    write_predictions(tmp_path / "predictions.parquet", predictions_frame(predicted, task))
    frame = pd.read_parquet(tmp_path / "predictions.parquet")
    columns = ["gold_valence", "gold_arousal", "predicted_valence", "predicted_arousal"]
    assert list(frame.columns) == ["split", "dialogue_id", "utterance_id", "turn", "speaker", "text", *columns]
    np.testing.assert_array_equal(frame[columns[:2]], [[np.nan, 4.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(frame[columns[2:]], outputs)  # outputs are in the dimensions' own units already
    assert read_predictions(tmp_path / "predictions.parquet").names == ("valence", "arousal")


def test_attention_keys_carry_the_split_once(predictions, tmp_path):
    write_attention(tmp_path, predictions)
    assert set(load_file(tmp_path / "attention.safetensors")) == {"test/d1/forward", "test/d2/forward"}
    turns = json.loads((tmp_path / "attention.json").read_text())["turns"]
    assert turns == {"test/d1": ["test/d1_u0", "test/d1_u2"], "test/d2": ["test/d2_u0"]}


def test_a_system_without_attention_leaves_no_file(predictions, tmp_path):
    dialogues, predicted = predictions["test"]
    write_attention(tmp_path, {"test": (dialogues, Predicted(outputs_NS=predicted.outputs_NS, loss=None))})
    assert list(tmp_path.iterdir()) == []


def test_peak_memory_is_in_bytes():
    before = peak_memory_bytes()
    assert 50e6 < before < 200e9
    block = np.ones(60_000_000, dtype=np.uint8)
    assert peak_memory_bytes() >= before
    assert block.size
