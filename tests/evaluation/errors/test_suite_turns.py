import numpy as np
import pandas as pd
import pytest

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.errors.suite_turns import SuiteTurns, read_suite_turns
from dialogue_ser.evaluation.suite.contents import read_contents


def read(folder, split="test") -> SuiteTurns:
    return read_suite_turns(read_contents(folder), split)


def predictions_of(folder, system: str, seed: int):
    return next((folder / "runs" / system).glob(f"seed{seed}*")) / "predictions.parquet"


def test_numbers_are_averaged_over_seeds_and_the_label_is_that_of_the_mean(folder):
    data = read(folder)
    x = data.system("x")
    assert x.seeds == (1, 2)
    np.testing.assert_allclose(x.numbers_NS[:, 0], [0.8, 0.2, 0.4, 0.3, 0.9, 0.9, 0.3, 0.0])
    assert x.averaged.frame["predicted"].tolist() == list("abbbaabb")
    assert (x.reference, data.system("y").reference) == ("y", "")
    assert [system.label for system in data.ranked] == ["x", "y"]
    assert data.train_speakers == {"Ann"}


def test_runs_with_another_order_of_turns_and_classes_are_aligned(folder):
    before = read(folder).system("x").numbers_NS
    frame = pd.read_parquet(predictions_of(folder, "x", 2))
    others = [name for name in frame if name not in ("p_a", "p_b")]
    frame[[*others, "p_b", "p_a"]].iloc[::-1].to_parquet(predictions_of(folder, "x", 2))
    np.testing.assert_allclose(read(folder).system("x").numbers_NS, before)


def test_runs_that_cannot_be_used_are_left_out_with_the_reason(folder):
    predictions_of(folder, "x", 1).write_bytes(b"no table")
    frame = pd.read_parquet(predictions_of(folder, "x", 2))
    frame[frame["utterance_id"] != "test/d3_0"].to_parquet(predictions_of(folder, "x", 2))
    data = read(folder)
    assert [system.label for system in data.systems] == ["y"]
    assert "Left out: x/seed1: " in data.notes[0]
    assert "not a readable parquet file" in data.notes[0]
    assert "Left out: x/seed2: " in data.notes[1]
    assert "0 turns only here, 1 only there" in data.notes[1]


def test_a_missing_reference_is_no_reference(folder):
    predictions_of(folder, "y", 1).unlink()
    data = read(folder)
    assert [(system.label, system.reference) for system in data.systems] == [("x", "")]


def test_without_a_usable_run_all_reasons_are_given(folder):
    predictions_of(folder, "y", 1).unlink()
    with pytest.raises(
        DialogueSerError, match=r"no run can be analysed[\s\S]*unknown split 'dev'[\s\S]*y/seed1 is not"
    ):
        read(folder, "dev")
