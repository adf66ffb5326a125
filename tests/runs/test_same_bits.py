import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.runs.same_bits import compare_runs

LINES = [
    {"kind": "step", "step": 1, "loss": 1.5, "auxiliary": {"shift": 0.25}},
    {"kind": "step", "step": 2, "loss": 1.25},
    {"kind": "epoch", "epoch": 1, "dev": {"f1": 0.5, "uar": None}, "seconds": 1.0},
    {"kind": "summary", "scores": {"dev": {"f1": 0.5}}, "seconds": 9.0, "peak_memory_bytes": 5},
]


def write(folder: Path, lines: list[dict] = LINES, weight: float = 1.0, p: tuple[float, ...] = (0.5, math.nan)) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tensors = {"a": np.ones((2, 3), dtype=np.float32), "b": np.array([weight], dtype=np.float32)}
    save_file(tensors, folder / "model" / "model.safetensors")
    frame = pd.DataFrame({"utterance_id": ["u1", "u2"], "predicted": ["calm", "glad"], "p_calm": list(p)})
    frame.to_parquet(folder / "predictions.parquet")
    return folder


def test_equal_runs_have_no_difference_whatever_time_and_memory_they_took(tmp_path):
    other = [{**line, "seconds": 2.0} if "seconds" in line else line for line in LINES]
    parts = compare_runs(write(tmp_path / "a"), write(tmp_path / "b", other))
    assert [(part.name, part.compared, part.different) for part in parts] == [
        ("steps", 3, 0), ("epochs", 2, 0), ("summary", 1, 0), ("weights", 2, 0), ("predictions", 6, 0),
    ]  # fmt: skip


def test_the_first_difference_is_named_and_the_largest_is_measured(tmp_path):
    lines = [LINES[0], {**LINES[1], "loss": 1.0}, {**LINES[2], "dev": {"f1": 0.5, "uar": 0.1}}, LINES[3]]
    above = float(np.nextafter(np.float32(1), np.float32(2)))
    parts = compare_runs(write(tmp_path / "a"), write(tmp_path / "b", lines, above, (0.5, 0.25)))
    found = {part.name: part for part in parts}
    assert (found["steps"].different, found["steps"].first) == (1, "step 2 loss (1.25 and 1.0)")
    assert found["steps"].largest == 0.25
    assert found["epochs"].first == "epoch 1 dev uar (None and 0.1)"
    assert found["epochs"].largest is None
    assert (found["weights"].different, found["weights"].first[:13]) == (1, "model/model b")
    assert found["weights"].largest == pytest.approx(1.1920929e-07)
    assert found["predictions"].first == "u2 p_calm (None and 0.25)"
    json.dumps([part.to_json() for part in parts], allow_nan=False)


def test_what_one_run_lacks_is_a_difference_but_what_the_first_never_had_is_not_compared(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", [*LINES[:2], {"kind": "step", "step": 3, "loss": 1.0}])
    (second / "predictions.parquet").unlink()
    found = {part.name: part for part in compare_runs(first, second)}
    assert found["steps"].first == "step 3 loss (nothing and 1.0)"
    assert found["epochs"].different == found["epochs"].compared == 2
    assert found["predictions"].different == 6
    found = {part.name: part for part in compare_runs(second, first)}
    assert "predictions" not in found
    empty = tmp_path / "nothing"
    assert all(part.different == part.compared for part in compare_runs(first, empty))


def test_not_finite_weights_have_an_infinite_difference_only_where_they_differ(tmp_path):
    runs = [write(tmp_path / name, weight=weight) for name, weight in (("a", math.nan), ("b", math.nan), ("c", 1.0))]
    weights = [{part.name: part for part in compare_runs(runs[0], other)}["weights"] for other in runs[1:]]
    assert weights[0].different == 0
    assert (weights[1].different, weights[1].to_json()["largest"]) == (1, "inf")


def test_a_damaged_file_is_named(tmp_path):
    first = write(tmp_path / "a")
    (first / "model" / "model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(DialogueSerError, match=r"model\.safetensors: is damaged"):
        compare_runs(first, first)
