"""What the README shows is run, or at least known to exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import dialogue_ser
from dialogue_ser.cli.main import COMMANDS, find_command
from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import preset_names
from dialogue_ser.training.run import train

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [
    line.split("#")[0].strip() for line in re.findall(r"^ {4}(?:\.venv/bin/)?(dialogue-ser .*)$", README, re.MULTILINE)
]


def test_four_things_are_shown_in_about_ten_lines_each():
    assert len(BLOCKS) == 4
    assert max(block.count("\n") for block in BLOCKS) <= 10


@pytest.fixture
def _few_epochs(monkeypatch):
    """What the README trains is trained for two epochs."""

    def short(config, **settings):
        return train(apply_overrides(config, {"training.epochs": 2}), **settings)

    monkeypatch.setattr(dialogue_ser, "train", short)


@pytest.mark.usefixtures("_few_epochs")
def test_own_corpus_own_encoder_and_prediction_run_as_shown(tmp_path, monkeypatch):
    path = Path(__file__).parents[1] / "cli" / "conftest.py"
    spec = importlib.util.spec_from_file_location("cli_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_table(tmp_path / "turns.csv")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS[1:]:
        exec(compile(block, "README.md", "exec"), names)
    assert set(names["table"]["predicted"]) <= {"calm", "glad", "cross"}
    assert (tmp_path / "runs" / "punctuation" / "predictions.parquet").is_file()


def test_training_on_meld_is_shown_with_a_preset_that_exists():
    compile(BLOCKS[0], "README.md", "exec")
    assert re.search(r'load_preset\("([^"]+)"\)', BLOCKS[0]).group(1) in preset_names()


@pytest.mark.parametrize("line", LINES)
def test_command_lines_shown_can_be_parsed(line):
    name, tokens = find_command(shlex.split(line)[1:])
    assert name in COMMANDS
    if name == "train" and "--resume" not in tokens:
        assert parse_train(tokens).config.name


def test_the_command_line_is_shown():
    assert len(LINES) >= 10
