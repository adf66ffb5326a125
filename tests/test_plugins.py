"""An installed package adds encoder, model, reader, metric, loss and callback; the command line takes them all."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.registry import list_encoders
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import with_checksum
from dialogue_ser.models import MODELS, find_model
from dialogue_ser.registry import entry_point_targets
from dialogue_ser.runs.run_files import RunFiles

MODULE = '''
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dialogue_ser import Corpus, Dialogue, DialogueSystem, LabelSet, Utterance
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.metrics.table import Metric
from dialogue_ser.models.api import Output
from dialogue_ser.training.loop.callbacks import Callback


def read(path, labels, n_dialogues=6):
    """Anger shouts."""
    def turns(split, d):
        loud = [bool((d + t) % 2) for t in range(3)]
        return tuple(
            Utterance(id=f"{split}/d{d}_{t}", speaker="Ann", text="no!" if shouts else "yes",
                      label="anger" if shouts else "calm")
            for t, shouts in enumerate(loud)
        )
    numbers = range(n_dialogues)
    splits = {s: tuple(Dialogue(f"{s}/d{d}", turns(s, d)) for d in numbers) for s in ("train", "dev", "test")}
    return Corpus(name="demo", label_set=LabelSet(labels, ("calm", "anger")), splits=splits)


def marks(texts, *, mark="!"):
    return np.array([[text.count(mark), 1.0] for text in texts])


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options.

    Args:
        size: of the hidden layer.
    """

    size: int = 4


class TurnByTurn(DialogueSystem):
    name = "demo-turns"
    Config = Config
    speaker_aware = bidirectional_recurrence = False
    speaker_equivariant = causal = True

    def __init__(self, config, inputs, n_scores):
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs)
        hidden = nn.Linear(self.turns.out_dim, config.size)
        self.head = nn.Sequential(hidden, nn.Tanh(), nn.Linear(config.size, n_scores))

    def forward(self, batch, *, return_attention=False):
        return Output(self.head(self.turns(batch)), {})


class Nameless(TurnByTurn):
    pass


def mistakes(gold, predicted):
    return float((predicted != gold).mean())


mistakes.direction = "min"
mistakes.task = "classification"


def margin(outputs, target):
    """One number per turn; outputs are log-probabilities."""
    right = outputs.gather(1, target[:, None])[:, 0]
    best_other = outputs.scatter(1, target[:, None], -torch.inf).amax(1)
    return (1 + best_other - right).clamp_min(0)


class Diary(Callback):
    def on_epoch(self, state, row):
        with open("diary.txt", "a") as file:
            file.write(f"{row['epoch']} {row['dev']['demo-mistakes']:.3f}\\n")


SURE = Metric(
    key="sure",
    heading="sureness",
    function=lambda probabilities, gold, labels: probabilities.max(1).mean(),
    needs="probabilities",
)
'''
ENTRY_POINTS = """
[dialogue_ser.encoders]
demo-marks = demo_plugin:marks
[dialogue_ser.models]
demo-turns = demo_plugin:TurnByTurn
demo-function = demo_plugin:marks
demo-nameless = demo_plugin:Nameless
demo-missing = demo_plugin:Missing
bigru = demo_plugin:TurnByTurn
[dialogue_ser.readers]
demo-reader = demo_plugin:read
[dialogue_ser.metrics]
demo-mistakes = demo_plugin:mistakes
[dialogue_ser.losses]
demo-margin = demo_plugin:margin
[dialogue_ser.callbacks]
demo-diary = demo_plugin:Diary
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution installed as pip would leave it, in a folder on the path."""
    site = tmp_path / "site"
    metadata = site / "demo_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "demo_plugin.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "demo_plugin", raising=False)
    yield tmp_path
    sys.modules.pop("demo_plugin", None)


def test_an_installed_encoder_model_and_reader_train_and_predict_by_the_command_line(package, capsys):
    flags = ["--data.reader", "demo-reader", "--data.options", "{n_dialogues: 8}", "--model.name", "demo-turns"]
    flags += ["--features.text.encoder", "demo-marks", "--features.text.options", "{mark: '!'}"]
    flags += ["--model.options.size", "3", "--training.epochs=8", "--optimizer.learning_rate", "0.1"]
    (package / "base.yaml").write_text("training: {device: cpu, batch_size: 4}\n")
    assert main(["train", "--config", "base.yaml", *flags, "--out", "run"]) == 0
    saved = json.loads((package / "run" / "model" / "config.json").read_text())
    assert saved["model"] == {"name": "demo-turns", "options": {"size": 3}}
    (package / "new.csv").write_text("speaker,text\nBo,no!\nBo,yes\n")
    capsys.readouterr()
    assert main(["predict", "run", "new.csv"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert [row[rows[0].index("predicted")] for row in rows[1:]] == ["anger", "calm"]


OWN_PARTS = """
task: classification
metrics: [{metric}, "demo_plugin:SURE"]
data: {{reader: demo-reader, options: {{n_dialogues: 8}}}}
features: {{text: {{encoder: demo-marks}}}}
model: {{name: demo-turns}}
loss: {{kind: {loss}}}
optimizer: {{learning_rate: 0.1}}
training: {{device: cpu, batch_size: 4, epochs: 8, select: {metric}, callbacks: [{callback}]}}
"""


@pytest.mark.parametrize(
    ("metric", "loss", "callback"),
    [
        ("demo-mistakes", "demo-margin", "demo-diary"),
        ("demo_plugin:mistakes", "demo_plugin:margin", "demo_plugin:Diary"),
    ],
    ids=["by entry point", "by module"],
)
def test_a_metric_a_loss_and_a_callback_from_outside_take_part_in_a_run(package, metric, loss, callback):
    key = metric.rpartition(":")[2]
    text = MODULE.replace("demo-mistakes", key)
    (package / "site" / "demo_plugin.py").write_text(text)
    (package / "own.yaml").write_text(OWN_PARTS.format(metric=metric, loss=loss, callback=callback))
    metrics = ["--metrics", f"[{metric}, demo_plugin:SURE]"]  # a name by a flag needs no trust
    trust = ["--trust_code"] if ":" in metric else []
    assert main(["train", "--config", "own.yaml", *metrics, "--out", "run", *trust]) == 0
    run = RunFiles(package / "run")
    assert [line.split()[0] for line in Path("diary.txt").read_text().splitlines()] == list("12345678")
    mistakes = [epoch["dev"][key] for epoch in run.epochs]
    assert run.summary["best_epoch"] == 1 + mistakes.index(min(mistakes)) > 1  # lower is better
    assert min(mistakes) == 0.0 < mistakes[0]  # the margin was learnt from
    test = run.scores["splits"]["test"]
    assert test["scores"][key] == 1 - test["scores"]["accuracy"] == 0.0
    assert test["intervals"][key]["high"] == 0.0
    assert 0.5 < test["scores"]["sure"] <= 1.0
    assert key in (run.folder / "report.html").read_text()


def test_a_model_and_a_reader_by_their_modules_train_and_predict_with_trust(package, capsys):
    flags = ["--data.reader", "demo_plugin:read", "--model.name", "demo_plugin:TurnByTurn", "--model.options.size", "3"]
    flags += ["--features.text.encoder", "demo-marks", "--training.epochs=1"]
    (package / "base.yaml").write_text("training: {device: cpu, batch_size: 4}\n")
    assert main(["train", "--config", "base.yaml", *flags, "--out", "run"]) == 0
    saved = json.loads((package / "run" / "model" / "config.json").read_text())
    assert saved["model"] == {"name": "demo_plugin:TurnByTurn", "options": {"size": 3}}
    (package / "new.csv").write_text("speaker,text\nBo,no!\n")
    assert main(["predict", "run", "new.csv"]) == 2
    assert "config.json: model.name: 'demo_plugin:TurnByTurn' is code" in capsys.readouterr().err
    assert main(["predict", "run", "new.csv", "--trust_code"]) == 0


def test_a_model_folder_never_imports_a_model_by_itself(package):
    flags = ["--data.reader", "demo-reader", "--model.name", "demo-turns", "--features.text.encoder", "demo-marks"]
    (package / "base.yaml").write_text("training: {device: cpu, epochs: 1}\n")
    assert main(["train", "--config", "base.yaml", *flags, "--out", "run"]) == 0
    path = package / "run" / "model" / "config.json"
    config = json.loads(path.read_text())
    config["model"]["name"] = "hostile:Model"
    path.write_text(json.dumps(with_checksum(config)))
    (package / "hostile.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    with pytest.raises(CheckpointError, match=r"(?s)model\.name: 'hostile:Model' is code.*trust_code=True"):
        DialogueClassifier.from_pretrained(path.parent)
    assert not (package / "executed").exists()


def test_installed_things_are_listed_and_suggested(package, capsys):
    assert "demo-marks" in [info.name for info in list_encoders() if info.origin == "entry point"]
    assert main(["models"]) == 0
    assert "demo-turns" in capsys.readouterr().out
    assert main(["train", "--config", "/dev/null", "--model.name", "demo-turn"]) == 2
    assert "did you mean 'demo-turns'" in capsys.readouterr().err
    assert set(entry_point_targets("dialogue_ser.readers")) == {"demo-reader"}


def test_the_librarys_own_names_cannot_be_taken(package):
    assert find_model("bigru") is MODELS["bigru"]
    assert [entry.origin for entry in MODELS.entries() if entry.name == "bigru"] == ["built in"]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("demo-function", "is not a subclass of dialogue_ser.DialogueSystem"),
        ("demo-nameless", "name must be 'demo-nameless' too"),
        ("demo-missing", "cannot import demo_plugin:Missing"),
    ],
)
def test_an_entry_point_that_is_no_model_is_refused_by_name(package, name, complaint):
    with pytest.raises(ConfigError, match=complaint):
        find_model(name)
