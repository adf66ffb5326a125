"""What docs/models.md shows is run."""

import re
from pathlib import Path

import torch

from dialogue_ser.cli.main import main
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models.emotion_rnn import EmotionRNNConfig

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
STREAM, OWN = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_a_causal_run_streams_as_shown(tmp_path, monkeypatch, capsys):
    turns = [f"{split},{split}{d},{who},{text},{label}" for split in ("train", "dev") for d in range(3)
             for who, text, label in (("Ann", "you got it", "calm"), ("Bo", "i got it !", "joy"))]  # fmt: skip
    (tmp_path / "turns.csv").write_text("\n".join(["split,dialogue,speaker,text,label", *turns]) + "\n")
    monkeypatch.chdir(tmp_path)
    flags = ["--data.path", "turns.csv", "--features.text.encoder", "textcnn", "--model.options.causal", "true"]
    (tmp_path / "base.yaml").write_text("data: {reader: table}\ntraining: {epochs: 1, device: cpu}\n")
    assert main(["train", "--config", "base.yaml", *flags, "--out", "runs/causal"]) == 0
    capsys.readouterr()
    exec(compile(STREAM, "models.md", "exec"), {})
    assert len(capsys.readouterr().out.split()) == 2


def test_the_model_of_ones_own_is_one():
    names: dict[str, object] = {"__name__": "shown"}
    exec(compile(OWN, "models.md", "exec"), names)
    model = names["TurnByTurn"](names["TurnByTurnConfig"](size=5), {"text": InputSpec(kind="vector", dim=4)}, 3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 4 * 5 + 5 + 5 * 3 + 3
    assert isinstance(model, torch.nn.Module)


def test_every_option_of_emotion_rnn_is_named():
    assert [name for name in EmotionRNNConfig.__dataclass_fields__ if f"`{name}`" not in PAGE] == []
