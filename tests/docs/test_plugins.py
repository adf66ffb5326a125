"""The code of docs/plugins.md runs as it stands there."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.encoders import build_input
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.inputs.extractor import build_extractor
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.training.loop.callbacks import make_callbacks
from dialogue_ser.training.loop.loss import LOSSES

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def my_encoders(tmp_path, monkeypatch):
    """All classes and functions of the page in one module of the working folder."""
    (tmp_path / "my_encoders.py").write_text("\n".join(blocks("python")[1:]))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("my_encoders", None)


def test_the_frozen_encoders_of_the_page_encode(my_encoders):
    talk = Dialogue("d", (Utterance(id="u", speaker="Ann", text="what?!"),))
    feature = yaml.safe_load(blocks("yaml")[0])["features"]["text"]
    row = build_encoder(feature["encoder"], "text", feature["options"]).encode([talk])["u"]
    assert row.tolist() == [1.0, 1.0, 0.0]
    encoder = build_encoder("my_encoders:WithNeighbours", "text", {"size": 4})
    assert encoder.fingerprint()["size"] == 4
    assert encoder.traits.context == (1, 0)


def test_the_trained_encoder_of_the_page_is_built_and_reads_valid_frames_only(my_encoders):
    feature = yaml.safe_load(blocks("yaml")[1])["features"]["audio"]
    extractor, name, options = build_extractor(
        "audio", feature["encoder"], feature["options"], has_transforms=False, on_bad="error"
    )
    assert (extractor.name, extractor.kind) == ("hf-audio", "frames")
    assert (name, options) == ("my_encoders:Strongest", {"out_dim": 32})
    encoder = build_input(InputSpec(kind="frames", dim=3, encoder=name, options=options))
    values, lengths = torch.randn(1, 2, 5, 3), torch.tensor([[5, 2]])
    out = encoder(values, lengths, lengths > 0)
    values[0, 1, 2:] = 9.0
    assert out.shape == (1, 2, 32)
    assert torch.equal(encoder(values, lengths, lengths > 0), out)


def test_the_metric_loss_and_callback_of_the_page_do_what_it_says(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(blocks("python")[-1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    config = yaml.safe_load(blocks("yaml")[-1])
    (metric,), loss = config["metrics"], LOSSES.find(config["loss"]["kind"])
    assert config["training"]["select"] == metric
    assert METRICS.find(metric).function(["a", "b", "a"], ["a", "b", "b"]) == pytest.approx(0.4)
    outputs = torch.tensor([[-0.5, -2.0, -3.0], [-1.0, -1.5, -4.0]])
    assert loss(outputs, torch.tensor([0, 1])).tolist() == [0.0, 1.5]
    (callback,) = make_callbacks(config["training"]["callbacks"])
    callback.on_epoch(None, {"epoch": 2, "dev": {"kappa": 0.4}})
    assert capsys.readouterr().out == "2 {'kappa': 0.4}\n"


def test_the_package_of_the_page_is_the_one_that_is_tested():
    assert importlib.util.find_spec("example_encoders") is None, "installed by its tests only"
    assert (Path(__file__).parents[1] / "example_package" / "pyproject.toml").is_file()
    assert "tests/example_package" in PAGE
