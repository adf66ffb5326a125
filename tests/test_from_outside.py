"""One model, metric, loss, reader and callback of the user's own, in a module elsewhere: no file of ours changes."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dialogue_ser import RunConfig, apply_overrides, train
from dialogue_ser.cli.main import main
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.training.config.files import dump_config

MODULE = """
from dataclasses import dataclass

import torch
from sklearn.metrics import cohen_kappa_score
from torch import nn

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.training.loop.callbacks import Callback

SEEN = []


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    size: int = 4


class Own(DialogueSystem):
    name = "own"
    Config = OwnConfig
    speaker_aware = bidirectional_recurrence = False
    speaker_equivariant = causal = True

    def __init__(self, config, inputs, n_scores):
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs)
        self.head = nn.Sequential(nn.Linear(self.turns.out_dim, config.size), nn.Linear(config.size, n_scores))

    def forward(self, batch, *, return_attention=False):
        return Output(self.head(self.turns(batch)), {})


def kappa(gold, predicted):
    return cohen_kappa_score(gold, predicted)


kappa.heading = "Cohen's kappa"


def misses(gold, predicted):
    return float((gold != predicted).sum())


misses.direction = "min"


def margin(outputs, target):
    right = outputs.gather(1, target[:, None])[:, 0]
    best_other = outputs.scatter(1, target[:, None], -torch.inf).amax(1)
    return (1 + best_other - right).clamp_min(0)


class Announce(Callback):
    def on_step(self, state, row):
        SEEN.append(("step", row["step"]))

    def on_epoch(self, state, row):
        SEEN.append(("epoch", row["epoch"], row["dev"]["misses"]))

    def on_end(self, state):
        SEEN.append(("end",))


def shouts(path, labels):
    def turns(split, n):
        for i in range(n):
            is_loud = i % 3 == 0
            text = f"no {'!' * (3 + i % 2)}" if is_loud else f"well {'.' * (1 + i % 4)}"
            yield Utterance(id=f"{split}/{i}", speaker="ab"[i % 2], text=text, label="loud" if is_loud else "quiet")

    splits = {"train": 24, "dev": 9, "test": 9}
    made = {
        split: tuple(Dialogue(f"{split}/d{i}", turns_) for i, turns_ in enumerate(zip(*[turns(split, n)] * 3)))
        for split, n in splits.items()
    }
    return Corpus(name="shouts", label_set=LabelSet(labels, ("quiet", "loud")), splits=made)
"""

SETTINGS = {
    "data.reader": "outside:shouts",
    "features.text": {"encoder": "textcnn", "options": {"min_count": 1}},
    "model.name": "outside:Own",
    "loss.kind": "outside:margin",
    "metrics": ["outside:kappa"],
    "training.select": "outside:misses",
    "training.callbacks": ["outside:Announce"],
    "training.epochs": 3,
    "training.batch_size": 4,
    "optimizer.learning_rate": 0.05,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "outside.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_model_metric_loss_reader_and_callback_from_outside_train_select_and_report(folder: Path) -> None:
    run = train(apply_overrides(RunConfig(name="own"), SETTINGS), folder / "run", progress=False)
    import outside  # type: ignore[import-not-found]

    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    misses = [row["dev"]["misses"] for row in epochs]
    assert run.best_epoch == 1 + misses.index(min(misses))  # lower is better, and the earlier wins a tie
    assert [seen[:2] for seen in outside.SEEN if seen[0] == "epoch"] == [("epoch", 1), ("epoch", 2), ("epoch", 3)]
    assert [seen for seen in outside.SEEN if seen[0] == "step"] == [("step", i) for i in range(1, 7)]
    assert outside.SEEN[-1] == ("end",)
    test = pd.read_parquet(run.folder / "predictions.parquet").query("split == 'test'")
    from sklearn.metrics import cohen_kappa_score

    assert run.scores["test"]["kappa"] == pytest.approx(cohen_kappa_score(test["gold"], test["predicted"]))
    scores = evaluate_run(run.folder, metrics=["outside:kappa"], n_resamples=20)["splits"]["test"]
    assert scores["scores"]["kappa"] == pytest.approx(run.scores["test"]["kappa"])
    assert scores["intervals"]["kappa"]["low"] <= scores["scores"]["kappa"] <= scores["intervals"]["kappa"]["high"]


def test_the_command_line_takes_them_too_and_shows_the_own_metric(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = apply_overrides(RunConfig(name="own"), SETTINGS | {"training.epochs": 1, "metrics": []})
    (folder / "own.yaml").write_text(dump_config(config))
    assert main(["train", "--config", "own.yaml", "--metrics", "[outside:kappa]", "--out", "run", "--trust_code"]) == 0
    out = capsys.readouterr().out
    assert "Cohen's kappa" in out
    # from the file alone, without the function
    assert "Cohen&#39;s kappa" in (folder / "run" / "report.html").read_text()


def test_nothing_is_written_where_a_name_from_outside_does_not_fit(folder: Path) -> None:
    for setting, value, message in (
        ("metrics", ["outside:SEEN"], "neither a function"),
        ("training.callbacks", ["outside:kappa"], "callback"),
        ("loss.kind", "outside:nothing", "cannot import"),
    ):
        config = apply_overrides(RunConfig(name="own"), SETTINGS | {setting: value})
        with pytest.raises(ConfigError, match=message):
            train(config, folder / "run", progress=False)
        assert not (folder / "run").exists()
