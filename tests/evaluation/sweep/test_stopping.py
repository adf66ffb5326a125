"""The rule of early_terminate is asked after each epoch, with the curves of all trials of the sweep."""

import json

import pytest

from dialogue_ser.evaluation.sweep.objective import Objective
from dialogue_ser.evaluation.sweep.stopping import EarlyTermination, StoppedEarly
from dialogue_ser.search_space.hyperband import Hyperband
from dialogue_ser.training.loop.state import TrainState

F1 = Objective(name="dev/weighted_f1", key="weighted_f1", goal="maximize")


def append(folder, *scores, first=1):
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        for epoch, score in enumerate(scores, start=first):
            file.write(json.dumps({"kind": "epoch", "epoch": epoch, "dev": {"weighted_f1": score}}) + "\n")


@pytest.fixture
def early(tmp_path) -> EarlyTermination:
    return EarlyTermination(Hyperband(min_iter=1, eta=2), F1, tmp_path / "0003-abc", tmp_path, "abc")


def test_a_run_that_is_worse_than_the_others_is_stopped(tmp_path, early):
    append(tmp_path / "0001-abc", 0.5, 0.6)
    append(tmp_path / "0002-abc", 0.5, 0.7)
    append(tmp_path / "0003-abc", 0.1)
    early.on_epoch(TrainState(), {"epoch": 1})
    append(tmp_path / "0003-abc", 0.2, first=2)
    with pytest.raises(StoppedEarly) as stopped:
        early.on_epoch(TrainState(), {"epoch": 2})
    assert stopped.value.epoch == 2


def test_other_sweeps_and_further_seeds_do_not_count(tmp_path, early):
    for name in ("0001-xyz", "0001-abc-seed2", "0002-abc-seed2"):
        append(tmp_path / name, 0.9, 0.9)
    append(tmp_path / "0003-abc", 0.1, 0.1)
    early.on_epoch(TrainState(), {"epoch": 2})  # it does not raise
    for name in ("0001-abc", "0002-abc"):
        append(tmp_path / name, 0.9, 0.9)
    with pytest.raises(StoppedEarly):
        early.on_epoch(TrainState(), {"epoch": 2})


def test_trials_of_other_machines_count_if_their_folder_is_not_here(tmp_path, early):
    append(tmp_path / "0003-abc", 0.1, 0.1)
    append(tmp_path / "0001-abc", 0.0, 0.0)
    (tmp_path / "elsewhere.json").write_text(json.dumps({f"000{n}-abc": [0.9, 0.9] for n in (1, 4, 5, 6)}))
    with pytest.raises(StoppedEarly):
        early.on_epoch(TrainState(), {"epoch": 2})


def test_a_curve_is_read_again_after_its_run_went_back_to_a_checkpoint(tmp_path, early):
    append(tmp_path / "0003-abc", 0.1, 0.2, 0.3)
    file = tmp_path / "0003-abc" / "metrics.jsonl"
    assert early._curve(file) == [0.1, 0.2, 0.3]
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:1]))
    assert early._curve(file) == [0.1]
    append(tmp_path / "0003-abc", 0.25, first=2)
    with file.open("a") as half:
        half.write('{"kind": "epoch", "epoch": 3')
    assert early._curve(file) == [0.1, 0.25]
