"""The job of a trial: seeds one after the other, a stopped run stays stopped, and W&B's variables."""

import os
from dataclasses import asdict

import pytest

from dialogue_ser.evaluation.sweep import work
from dialogue_ser.evaluation.sweep.objective import Objective
from dialogue_ser.evaluation.sweep.work import do_trial
from dialogue_ser.runs.lock import run_lock
from dialogue_ser.training.config.files import config_to_dict
from dialogue_ser.training.config.run_config import OptimizerConfig, RunConfig, TrainingConfig

F1 = asdict(Objective(name="dev/weighted_f1", key="weighted_f1", goal="maximize"))
CONFIG = config_to_dict(RunConfig(optimizer=OptimizerConfig(learning_rate=0.5), training=TrainingConfig(epochs=5)))


def do(tmp_path, *names, rule=None, **changes):
    folders = [str(tmp_path / name) for name in names]
    settings = {"environment": {}, "is_crossval": False, "sweep_id": "abc", **changes}
    return do_trial(CONFIG, folders, str(tmp_path), objective=F1, rule=rule, **settings)


def test_a_run_that_was_stopped_early_is_not_trained_again(tmp_path, stand_ins):
    rule = {"min_iter": 1, "eta": 2}
    for name in ("0000-abc", "0001-abc"):
        do(tmp_path, name)
    weak = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "learning_rate": 0.1}}
    settings = {"rule": rule, "environment": {}, "is_crossval": False, "sweep_id": "abc", "objective": F1}
    first = do_trial(weak, [str(tmp_path / "0002-abc"), str(tmp_path / "0002-abc-seed2")], str(tmp_path), **settings)
    assert first["stopped_epoch"] == 2
    assert len(stand_ins.calls) == 3  # the second seed was not trained
    assert do_trial(weak, [str(tmp_path / "0002-abc")], str(tmp_path), **settings) == first
    assert len(stand_ins.calls) == 3


def test_a_run_directory_in_use_is_left_alone(tmp_path, stand_ins, monkeypatch):
    monkeypatch.setattr(work, "_OLD_PROCESS_SECONDS", 0.0)
    with run_lock(tmp_path / "0000-abc"):
        assert do(tmp_path, "0000-abc") == {"busy": True}
    assert stand_ins.calls == []


@pytest.mark.parametrize("before", [None, "mine"])
def test_wandb_sees_its_variables_during_the_run_only(tmp_path, stand_ins, monkeypatch, before):
    monkeypatch.setenv("WANDB_RUN_ID", before) if before else monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    seen = []
    train = stand_ins.train

    def note(*given, **options):
        seen.append((os.environ["WANDB_RUN_ID"], os.environ["WANDB_SWEEP_ID"]))
        train(*given, **options)

    monkeypatch.setattr("dialogue_ser.training.run.train", note)
    do(tmp_path, "0000-abc", "0000-abc-seed2", environment={"WANDB_SWEEP_ID": "abc"})
    assert seen == [("0000-abc", "abc"), ("0000-abc-seed2", "abc")]
    assert os.environ.get("WANDB_RUN_ID") == before
