import json

import pytest

from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.mirror.content import (
    best_of,
    config_of,
    flat,
    history_of,
    summary_of,
    sweep_parameters,
    without_doubles,
)

EPOCH = {
    "kind": "epoch", "epoch": 2, "step": 9, "train_loss": 0.5, "auxiliary": {"other": 0.1}, "dev_loss": 0.4,
    "dev": {"weighted_f1": 0.6, "uar": None}, "test_loss": 0.7, "test": {"uar": 0.2}, "is_best": True, "seconds": 1.5,
}  # fmt: skip


def test_nested_metrics_are_flattened():
    assert flat({"a": {"b": {"c": 1}}, "d": None, "e": {}}) == {"a/b/c": 1, "d": None, "e": {}}


def test_the_metric_of_a_sweep_has_its_own_name_and_all_other_numbers_say_where_they_come_from():
    assert history_of(EPOCH) == {
        "epoch": 2, "step": 9, "epoch/train_loss": 0.5, "epoch/auxiliary/other": 0.1, "dev/loss": 0.4,
        "dev/weighted_f1": 0.6, "dev/uar": None, "test/loss": 0.7, "test/uar": 0.2, "epoch/is_best": True,
        "epoch/seconds": 1.5,
    }  # fmt: skip
    step = {"kind": "step", "epoch": 1, "step": 3, "loss": 2.0, "grad_norm": 1.0, "auxiliary": {"other": 0.1}}
    assert history_of(step) == {
        "epoch": 1, "step": 3, "train/loss": 2.0, "train/grad_norm": 1.0, "train/auxiliary/other": 0.1,
    }  # fmt: skip


def test_the_summary_after_a_best_epoch_and_at_the_end_has_the_names_of_the_curves():
    best = best_of(EPOCH)
    assert best["best_epoch"] == 2
    assert best["dev/weighted_f1"] == 0.6
    assert not {"epoch", "step"} & set(best)
    row = {"kind": "summary", "best_epoch": 2, "scores": {"dev": {"weighted_f1": 0.6}, "test": {"uar": 0.1}}}
    assert summary_of(row) == {"best_epoch": 2, "dev/weighted_f1": 0.6, "test/uar": 0.1}


SETTINGS = {
    "name": "x",
    "seed": 1,
    "data": {"on_bad": "error", "cut": {"fold": "a", "seed": 0}},
    "optimizer": {"learning_rate": 0.1, "weight_decay": 0.0},
    "model": {"name": "bigru", "options": {"hidden_dim": 8, "dropout": 0.1}},
}


@pytest.mark.parametrize(
    "sweep",
    [
        {},
        {"optimizer.learning_rate": 0.1},
        {"optimizer.learning-rate": 0.1, "seed": 1, "data.cut.fold": "a", "data.cut.seed": 0},
        {"optimizer": {"learning_rate": 0.1}},
        {"optimizer": {"learning-rate": 0.1, "weight_decay": 0.0}},
        {"model.options": {"hidden_dim": 8}},
        {"model": {"options": {"hidden_dim": 8}}, "data": {"cut": {"seed": 0}}},
        {"preset": "meld-text", "fold": 3},
    ],
    ids=str,
)
def test_with_the_values_of_the_sweep_every_setting_is_there_once(sweep):
    kept = without_doubles(SETTINGS, sweep)
    together = {**kept, **sweep}  # as W&B joins them: the sweep replaces whole top-level keys
    assert not set(kept) & set(sweep)
    names = [name.replace("-", "_") for name in flat(together, ".")]
    assert len(names) == len(set(names))
    assert set(names) - {"preset", "fold"} == set(flat(SETTINGS, "."))


def test_settings_of_the_run_and_of_the_machine_are_sent_but_not_the_command_line(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_PARAM_PATH", raising=False)
    environment = {"python": "3.12", "packages": {"torch": "2"}, "command": ["dialogue-ser", "--secret"], "run_id": "1"}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    found = config_of(RunConfig(name="demo"), tmp_path)
    assert found["environment"] == {"python": "3.12", "packages": {"torch": "2"}}
    assert found["optimizer"]["learning_rate"] == RunConfig().optimizer.learning_rate


def test_the_file_of_an_agent_is_read_as_it_writes_it(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("wandb_version: 1\n\noptimizer:\n  value:\n    learning_rate: 0.001\nseed:\n  value: null\n")
    found = sweep_parameters({"WANDB_SWEEP_PARAM_PATH": str(path)})
    assert found == {"optimizer": {"learning_rate": 0.001}, "seed": None}
    assert sweep_parameters({}) == sweep_parameters({"WANDB_SWEEP_PARAM_PATH": str(tmp_path / "none")}) == {}
