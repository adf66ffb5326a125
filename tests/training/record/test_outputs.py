import json

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.metrics.predictions import read_predictions
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.loop.predict import Predicted
from dialogue_ser.training.record.outputs import (
    peak_memory_bytes,
    predictions_frame,
    write_predictions,
)
from dialogue_ser.training.run import train

CLASSES = Classification(LabelSet("emotion", ("calm", "glad")))
PROBABILITIES = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])


@pytest.fixture
def predictions():
    """A split of two dialogues (one id with its split in front), one turn unlabelled and without text."""
    first = Dialogue("test/d1", (Utterance(id="test/d1_u0", speaker="Ann", text="Hi", label="calm"),
                                 Utterance(id="test/d1_u2", speaker="Bo")))  # fmt: skip
    second = Dialogue("d2", (Utterance(id="test/d2_u0", speaker="Ann", text="None", label="glad"),))
    return {"test": ((first, second), Predicted(outputs_NS=np.log(PROBABILITIES), loss=0.5))}


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


@pytest.mark.parametrize("attention_turns", [1, 4])
def test_attention_of_long_dialogues_is_left_out_with_a_warning_and_a_resumed_run_does_the_same(
    tiny, tmp_path, caplog, attention_turns
):
    """With 1 no dialogue is short enough; the warning then comes from a look at the system."""
    options = {"model.name": "emotion-rnn", "model.options": {}, "training.epochs": 1}
    config = tiny.tiny_config(**options, attention_turns=attention_turns)
    folder = train(config, tmp_path / "run").folder
    lengths = {dialogue.id: len(dialogue) for split in tiny.read_tiny().splits.values() for dialogue in split}
    too_long = {name: n for name, n in lengths.items() if n > attention_turns}
    assert too_long
    stored = json.loads((folder / "attention.json").read_text())
    assert (stored["most_turns"], stored["too_long"]) == (attention_turns, too_long)
    assert set(stored["turns"]) == set(lengths) - set(too_long)
    assert f"not saved for {len(too_long)} dialogues of more than {attention_turns} turns" in caplog.text
    assert f"--attention_turns {max(too_long.values())} would save all" in caplog.text
    before = {path.name: path.read_bytes() for path in folder.glob("attention.*")}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join(lines[:-1]) + "\n")  # killed before its last line
    for path in folder.glob("attention.*"):
        path.unlink()
    train(config, folder, resume=True)
    assert {path.name: path.read_bytes() for path in folder.glob("attention.*")} == before


def test_a_system_without_attention_and_a_run_that_saves_none_leave_no_file_and_no_warning(tiny, tmp_path, caplog):
    train(tiny.tiny_config(**{"training.epochs": 1, "attention_turns": 1}), tmp_path / "bigru")
    options = {"model.name": "emotion-rnn", "model.options": {}, "training.epochs": 1, "attention_turns": 1}
    train(tiny.tiny_config(**options, save_attention=False), tmp_path / "none")
    assert "attention" not in caplog.text
    assert not list(tmp_path.glob("*/attention*"))


def test_peak_memory_is_in_bytes():
    before = peak_memory_bytes()
    assert 50e6 < before < 200e9
    block = np.ones(60_000_000, dtype=np.uint8)
    assert peak_memory_bytes() >= before
    assert block.size
