import os

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from dialogue_ser.runs.intact import has_whole_model, has_whole_predictions


@pytest.fixture
def folder(tmp_path):
    pd.DataFrame({"gold": ["a"] * 50}).to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    save_file({"w": np.ones(100)}, tmp_path / "model" / "model.safetensors")
    return tmp_path


def test_files_as_they_were_written_are_whole(folder):
    assert has_whole_predictions(folder)
    assert has_whole_model(folder)


@pytest.mark.parametrize("size", [0, 1, 50])
def test_files_that_are_cut_off_are_not(folder, size):
    os.truncate(folder / "predictions.parquet", size)
    os.truncate(folder / "model" / "model.safetensors", size)
    assert not has_whole_predictions(folder)
    assert not has_whole_model(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_without_one_of_its_files_is_not_whole(folder, name):
    (folder / "model" / name).unlink()
    assert not has_whole_model(folder)
