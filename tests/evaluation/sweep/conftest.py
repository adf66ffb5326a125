"""Sweeps whose trainings are stand-ins: they write what a training writes, in no time."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dialogue_ser.evaluation.sweep.plan import Settings, SweepPlan
from dialogue_ser.search_space.sweep_file import read_sweep
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.loop.state import TrainState

EPOCHS = 5
RANDOM = """
method: random
metric: {name: dev/weighted_f1, goal: maximize}
parameters:
  optimizer.learning_rate: {distribution: log_uniform_values, min: 0.001, max: 0.9}
"""
GRID = """
method: grid
metric: {name: dev/weighted_f1, goal: maximize}
parameters:
  optimizer.learning_rate: {values: [0.1, 0.2, 0.3]}
  seed: {values: [1, 2]}
"""


def settings_of(values: Mapping[str, Any]) -> Settings:
    plain = RunConfig(name="stand-in", training=RunConfig().training.__class__(epochs=EPOCHS))
    return Settings(config=apply_overrides(plain, values), is_crossval=False)


@pytest.fixture
def make_plan(tmp_path) -> Callable[..., SweepPlan]:
    def make(text: str, name: str = "sweep", **options: Any) -> SweepPlan:
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        return SweepPlan(sweep=read_sweep(file), settings_of=settings_of, **options)

    return make


class StandIns:
    """Stands in for ``train``: the metric of epoch e is learning rate × e / EPOCHS, so the last epoch is the best.

    ``crashes`` has learning rates that raise, ``dies`` those that end the process (here: an exception that nothing
    catches) after their second epoch, once.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, float, int]] = []
        self.epochs: list[str] = []
        self.crashes: set[float] = set()
        self.dies: set[float] = set()

    def train(self, config, out, *, resume=False, progress=None, callbacks=()) -> None:
        rate, folder = config.optimizer.learning_rate, Path(out)
        assert resume == (folder / "config.yaml").is_file()
        self.calls.append((folder.name, rate, config.seed))
        if rate in self.crashes:
            raise ValueError(f"too hot: {rate}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(f"seed: {config.seed}\n")
        metrics = folder / "metrics.jsonl"
        done = metrics.read_text().count('"epoch"}') if metrics.is_file() else 0
        for epoch in range(done + 1, config.training.epochs + 1):
            score = rate * epoch / config.training.epochs + config.seed / 1000
            row = {"epoch": epoch, "dev_loss": -score, "dev": {"weighted_f1": score}, "is_best": True}
            self.epochs.append(f"{folder.name}/{epoch}")
            with metrics.open("a") as file:
                # as a training writes it: the key kind is found by its text
                file.write(json.dumps({"kind": "epoch", **row, "end": "epoch"}) + "\n")
            for callback in callbacks:
                callback.on_epoch(TrainState(epoch=epoch + 1), row)
            if rate in self.dies and epoch == 2:
                self.dies.discard(rate)
                raise SystemExit(1)
        with metrics.open("a") as file:
            summary = {"kind": "summary", "best_epoch": epoch, "scores": {"dev": {"weighted_f1": score}}}
            file.write(json.dumps(summary) + "\n")


@pytest.fixture
def stand_ins(monkeypatch) -> StandIns:
    made = StandIns()
    monkeypatch.setattr("dialogue_ser.training.run.train", made.train)
    return made
