"""Trials become jobs: in processes that may be killed, with the variables of W&B, exchanging curves over a storage."""

import json
from pathlib import Path

import pytest

from dialogue_ser.evaluation.sweep import dispatch
from dialogue_ser.evaluation.sweep.dispatch import Trials, wandb_settings
from dialogue_ser.evaluation.sweep.run_sweep import run_sweep
from dialogue_ser.evaluation.sweep.storage import Place
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.many.engines import Processes
from dialogue_ser.many.jobs import Outcome
from dialogue_ser.many.progress import Silent
from dialogue_ser.training.config.run_config import RunConfig, WandbConfig
from tests.evaluation.sweep.conftest import GRID, RANDOM


@pytest.fixture
def in_processes(monkeypatch) -> None:
    """Let the trials of this test be stand-ins in processes of their own."""
    monkeypatch.setattr(dispatch, "_WORK", "stand_in_jobs:do_trial")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")


def test_killed_processes_lose_no_trial_and_two_workers_do_what_one_does(make_plan, in_processes, tmp_path):
    (tmp_path / "kill").touch()
    plan = make_plan(GRID.replace("  seed: {values: [1, 2]}\n", ""))
    found = run_sweep(plan, tmp_path / "out", engine=Processes(2))
    assert [(trial.number, trial.score) for trial in found.trials] == [(0, 0.1), (1, 0.2), (2, 0.3)]
    assert [trial.info["deaths"] for trial in found.trials] == [1, 1, 1]
    done = (tmp_path / "done.txt").read_text().split()[::2]
    assert sorted(done) == sorted(trial.info["folders"][0] for trial in found.trials)


def study_of(plan, tmp_path, storage=None) -> SweepStudy:
    return SweepStudy.create(Place.of(storage, tmp_path), plan.name, plan.record(), "maximize")


def test_a_trial_whose_process_dies_again_and_again_has_failed(make_plan, tmp_path):
    plan = make_plan(RANDOM, trials=1)
    study = study_of(plan, tmp_path)
    trials = Trials(plan, study, tmp_path, Silent())
    for _ in range(dispatch.MOST_DEATHS):
        trials.ended(next(trials), Outcome(status="failed", reason="killed by signal 9", is_lost=True))
    assert [trial.state for trial in study.trials()] == ["failed"]
    assert trials.failed == {0: "killed by signal 9"}
    assert next(trials, None) is None


def test_a_trial_that_somebody_else_trains_is_left_to_him(make_plan, tmp_path):
    plan = make_plan(RANDOM, trials=1)
    study = study_of(plan, tmp_path)
    trials = Trials(plan, study, tmp_path, Silent())
    trials.ended(next(trials), Outcome(status="finished", value={"busy": True}))
    assert study.trials()[0].state == "waiting"
    assert next(trials, None) is None


def test_curves_reach_trials_of_another_machine_over_the_storage(make_plan, tmp_path):
    plan = make_plan(RANDOM + "early_terminate: {type: hyperband, min_iter: 1}\n", trials=2)
    storage = str(tmp_path / "shared.journal")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    one = Trials(plan, study_of(plan, here, storage), here, Silent())
    job = next(one)
    run = Path(job.payload["folders"][0])
    run.mkdir()
    rows = [{"kind": "epoch", "epoch": epoch, "dev": {"weighted_f1": epoch / 10}} for epoch in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    one.tick()
    other = Trials(plan, study_of(plan, there, storage), there, Silent())
    other.tick()
    assert json.loads((there / "elsewhere.json").read_text()) == {run.name: [0.1, 0.2]}


def test_the_mode_of_wandb_is_that_of_its_variable_or_of_the_settings(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_GROUP", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    config = RunConfig(wandb=WandbConfig(mode="offline", project="mine"))
    environment, trained = wandb_settings(config, "tune", "abcd1234")
    assert trained.wandb.mode == environment["WANDB_MODE"] == "offline"
    assert trained.wandb.group == environment["WANDB_RUN_GROUP"] == "tune-abcd1234"
    assert (environment["WANDB_SWEEP_ID"], environment["WANDB_PROJECT"]) == ("abcd1234", "mine")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_settings(config, "tune", "abcd1234")[1].wandb.mode == "disabled"


def test_a_server_is_not_told_of_a_sweep_that_it_does_not_know(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert "WANDB_SWEEP_ID" not in wandb_settings(RunConfig(), "tune", "abcd1234")[0]
    monkeypatch.setenv("WANDB_SWEEP_ID", "known1")
    assert wandb_settings(RunConfig(), "tune", "abcd1234")[0]["WANDB_SWEEP_ID"] == "known1"
