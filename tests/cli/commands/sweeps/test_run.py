"""``sweep run``, ``sweep show`` and ``sweep best``, with stand-ins for the trainings."""

import json
from pathlib import Path

import pytest
import yaml

from dialogue_ser.cli.commands.sweeps import run
from dialogue_ser.many.engines import InProcess
from tests.evaluation.sweep.conftest import StandIns

FILE = """\
name: tune
method: grid
metric: {name: dev/weighted_f1, goal: maximize, target: 0.9}
command: ['${env}', dialogue-ser, train, --preset, quickstart, --training.epochs=3, '${args}']
parameters:
  optimizer.learning_rate: {values: [0.1, 0.2, 0.3]}
"""


@pytest.fixture
def stand_ins(tmp_path, monkeypatch) -> StandIns:
    monkeypatch.chdir(tmp_path)
    Path("tune.yaml").write_text(FILE)
    made = StandIns()
    monkeypatch.setattr("dialogue_ser.training.run.train", made.train)
    monkeypatch.setattr("dialogue_ser.evaluation.sweep.run_sweep._make_features", lambda *arguments: None)
    monkeypatch.setattr(run, "job_engine", lambda *arguments, **named: InProcess())
    return made


def test_a_sweep_is_run_shown_and_its_best_becomes_a_preset(stand_ins, cli):
    status, out, err = cli("sweep", "run", "tune.yaml")
    assert status == 0, err
    assert "3 trials: 3 finished" in out
    assert "best: trial 2, dev/weighted_f1 0.30" in out
    assert "target 0.9: not reached" in out
    assert "[2/3] 0001-" in err
    assert "dev/weighted_f1 0.2" in err
    status, out, _ = cli("sweep", "show", "tune.yaml", "--top", 1)
    assert status == 0
    assert "Trial 2 is the best: weighted F1 on dev 0.30" in out
    assert Path("runs/tune/index.html").is_file()
    best = json.loads(Path("runs/tune/results.json").read_text())["trials"][2]["folders"][0]
    Path(f"runs/tune/{best}/config.yaml").write_text("seed: 9\noptimizer: {learning_rate: 0.3}\n")
    assert cli("sweep", "best", "runs/tune", "--as-preset", "winner")[0] == 0
    preset = yaml.safe_load(Path("presets/winner.yaml").read_text())
    assert (preset["name"], preset["seed"]) == ("winner", 9)
    assert "presets/winner.yaml" in cli("presets")[1].replace("\n", "")
    _, out, _ = cli("train", "--preset", "winner", "--data.reader", "sample", "--features.text.encoder", "minilm",
                    "--print-config")  # fmt: skip
    assert yaml.safe_load(out)["optimizer"]["learning_rate"] == 0.3
    status, _, err = cli("sweep", "best", "tune.yaml", "--as-preset", "winner")
    assert status == 2
    assert "exists already" in err
    assert "learning_rate: 0.3" in cli("sweep", "best", "tune.yaml")[1]


def test_a_failed_trial_gives_status_1_and_its_reason(stand_ins, cli):
    stand_ins.crashes = {0.2}
    status, _, err = cli("sweep", "run", "tune.yaml")
    assert status == 1
    assert "failed: trial 1: " in err
    assert "too hot" in err
    stand_ins.crashes = set()
    assert "3 trials: 3 finished" in cli("sweep", "run", "tune.yaml", "--retry-failed")[1]


def test_a_wrong_file_has_status_2_and_nothing_is_made(stand_ins, cli):
    Path("tune.yaml").write_text(FILE.replace("learning_rate", "learning_rat"))
    status, _, err = cli("sweep", "run", "tune.yaml")
    assert status == 2
    assert "did you mean" in err
    assert not Path("runs").exists()
    assert cli("sweep", "run", "tune.yaml", "--address", "auto")[0] == 2
    assert cli("sweep", "best", "tune.yaml", "--as-preset", "quickstart")[0] == 2


def test_code_in_a_sweep_file_needs_trust(stand_ins, cli):
    Path("tune.yaml").write_text(FILE.replace("--training.epochs=3", "'--training.callbacks=[\"os:system\"]'"))
    status, _, err = cli("sweep", "run", "tune.yaml")
    assert status == 2
    assert "trust" in err
    assert stand_ins.calls == []
