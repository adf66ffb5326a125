"""What docs/models.md shows is run."""

import re
import shlex
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dialogue_ser.cli.main import main
from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.fusion.fusion_attention import FusionAttentionConfig
from dialogue_ser.models.graph.graphsmile import GraphSmileConfig
from dialogue_ser.models.graph.m3net import M3NETConfig
from dialogue_ser.models.recurrent.dialogue_rnn import DialogueRNN, DialogueRNNConfig
from dialogue_ser.models.recurrent.emotion_rnn import EmotionRNNConfig

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
LOAD, STREAM, OWN = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


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


def test_published_weights_load_as_shown(tmp_path, monkeypatch):
    state = {}
    for way in ("dialog_rnn_f", "dialog_rnn_r"):
        for cell, (inputs, size) in {"g_cell": (750, 150), "p_cell": (750, 150), "e_cell": (150, 100)}.items():
            name = f"{way}.dialogue_cell.{cell}"
            state |= {
                f"{name}.weight_ih": torch.randn(3 * size, inputs),
                f"{name}.weight_hh": torch.randn(3 * size, size),
            }
            state |= {f"{name}.bias_ih": torch.randn(3 * size), f"{name}.bias_hh": torch.randn(3 * size)}
        state[f"{way}.dialogue_cell.attention.transform.weight"] = torch.randn(150, 600)
    for name, (outputs, inputs) in {
        "matchatt.transform": (200, 200),
        "linear": (200, 200),
        "smax_fc": (7, 200),
    }.items():
        state |= {f"{name}.weight": torch.randn(outputs, inputs), f"{name}.bias": torch.randn(outputs)}
    monkeypatch.chdir(tmp_path)
    safetensors.torch.save_file(state, "published.safetensors")
    names: dict[str, object] = {}
    exec(compile(LOAD, "models.md", "exec"), names)
    system = names["system"]
    assert isinstance(system, DialogueRNN)
    assert torch.equal(system.head[-1].weight, state["smax_fc.weight"])


def test_a_branch_alone_is_configured_as_shown():
    [command] = [line for line in PAGE.splitlines() if "fusion-attention --features.text null" in line]
    config = parse_train(shlex.split(command)[2:], command="crossval").config
    assert list(config.features) == ["audio"]
    assert config.optimizer.l2 == {"branches.*.gru": 1e-4}
    assert config.data.cut.protocol == "leave-one-speaker-out-partner-dev"


@pytest.mark.parametrize(
    "config", [EmotionRNNConfig, DialogueRNNConfig, FusionAttentionConfig, GraphSmileConfig, M3NETConfig]
)
def test_every_option_is_named(config):
    assert [name for name in config.__dataclass_fields__ if f"`{name}`" not in PAGE] == []
