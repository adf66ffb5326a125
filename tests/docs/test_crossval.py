"""docs/crossval.md says nothing that is not so."""

import dataclasses
import re
from pathlib import Path

import yaml

from dialogue_ser.cli.main import COMMANDS
from dialogue_ser.evaluation.fold_protocols import FOLDS
from dialogue_ser.training.config import CrossvalConfig
from dialogue_ser.training.config_io import config_from_dict, config_to_dict
from dialogue_ser.training.presets import load_preset

PAGE = (Path(__file__).parents[2] / "docs" / "crossval.md").read_text(encoding="utf-8")


def test_the_yaml_of_the_page_is_the_preset_of_the_page():
    [shown] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    [command] = re.findall(r"^dialogue-ser (\w+) --preset ([\w-]+)", PAGE, re.MULTILINE)
    assert command[0] in COMMANDS
    config = config_from_dict({**yaml.safe_load(shown), "name": command[1]})
    assert config_to_dict(config) == config_to_dict(load_preset(command[1]))


def test_every_protocol_and_setting_is_named():
    names = [*FOLDS, *(field.name for field in dataclasses.fields(CrossvalConfig))]
    assert [name for name in names if name not in PAGE] == []
