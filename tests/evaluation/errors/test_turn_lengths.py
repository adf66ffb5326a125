import numpy as np
import pandas as pd
import pytest

from dialogue_ser.evaluation.errors.turn_lengths import turn_seconds
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.data.corpus import corpus_of


def test_the_seconds_are_those_that_the_corpus_states(tmp_path):
    table = tmp_path / "turns.csv"
    table.write_text(
        "split,dialogue,speaker,text,label,start,end\n"
        "test,d,A,x,joy,1.5,4\ntest,d,B,y,joy,,\ntrain,e,A,z,joy,0,1\ndev,f,A,z,joy,0,1\n"
    )
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(
        f"data: {{reader: table, path: {table}}}\nfeatures: {{text: {{encoder: minilm}}}}\n"
    )
    dialogue = corpus_of(load_record(run / "config.yaml").data).split("test")[0]
    frame = pd.DataFrame(
        {"split": "test", "dialogue_id": "d", "utterance_id": [turn.id for turn in dialogue], "turn": [0, 1],
         "speaker": "A", "text": "x", "gold": "a", "predicted": "a", "p_a": 1.0}
    )  # fmt: skip
    found, why = turn_seconds(run, predictions_of(frame))
    assert why == ""
    assert found[0] == 2.5
    assert np.isnan(found[1])
    table.unlink()
    found, why = turn_seconds(run, predictions_of(frame))
    assert found is None
    assert "the corpus cannot be read" in why
    assert "turns.csv" in why


def test_a_run_without_settings_has_no_known_seconds(run_dir):
    (run_dir / "config.yaml").unlink(missing_ok=True)
    found, why = turn_seconds(run_dir, RunFiles(run_dir).predictions)
    assert found is None
    assert "no config.yaml" in why


def test_a_reader_that_is_code_is_not_run_without_trust(run_dir, tmp_path, monkeypatch):
    (tmp_path / "own_reader_of_turns.py").write_text("raise SystemExit('it was run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (run_dir / "config.yaml").write_text("data: {reader: 'own_reader_of_turns:read', path: x}\n")
    turns = RunFiles(run_dir).predictions
    found, why = turn_seconds(run_dir, turns)
    assert found is None
    assert "is code" in why
    with pytest.raises(SystemExit, match="it was run"):
        turn_seconds(run_dir, turns, trust_code=True)
