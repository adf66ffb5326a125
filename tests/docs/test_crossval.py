"""docs/crossval.md says nothing that is not so."""

import dataclasses
import inspect
import re
import shlex
from pathlib import Path

import yaml

from dialogue_ser.cli.main import COMMANDS
from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.label_maps import IEMOCAP_MAPS
from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.corpus.readers import READERS
from dialogue_ser.corpus.readers.emodb import CLASSES
from dialogue_ser.training.config.files import config_from_dict, config_to_dict
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import CrossvalConfig

PAGE = (Path(__file__).parents[2] / "docs" / "crossval.md").read_text(encoding="utf-8")


def test_the_yaml_of_the_page_is_the_preset_of_the_page():
    shown, *others = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    command, *_ = re.findall(r"^dialogue-ser (\w+) --preset ([\w-]+)", PAGE, re.MULTILINE)
    assert command[0] in COMMANDS
    config = config_from_dict({**yaml.safe_load(shown), "name": command[1]})
    assert config_to_dict(config) == config_to_dict(load_preset(command[1]))
    assert [config_from_dict(yaml.safe_load(other)).data.cut.protocol for other in others] == ["own-splits"]


def test_every_command_of_the_page_can_be_given():
    commands = [shlex.split(line, comments=True) for line in PAGE.splitlines() if line.startswith("dialogue-ser cross")]
    given = [parse_train(words[2:], command="crossval").config for words in commands]
    assert len(given) > 7
    assert [config.features["audio"].transforms for config in given if config.name == "nemo-vgg"] == [
        ("standardise",),
        ("corpus-speaker-zscore",),
    ]


def test_two_corpora_are_joined_by_the_options_of_the_page():
    other = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
    options = yaml.safe_load(other)["data"]["options"]
    assert options.keys() <= inspect.signature(READERS["cross-corpus"]).parameters.keys()
    assert all(one["reader"] in READERS for one in (options["train"], options["test"]))
    labels = [*CLASSES, *IEMOCAP_MAPS["4-class"].classes]
    assert set(options["label_map"]) <= set(labels)


def test_what_is_said_to_be_tested_once_is():
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (yes|no) \|$", PAGE, re.MULTILINE)
    assert {name: answer == "yes" for name, answer in rows} == {
        name: protocol.tests_all for name, protocol in FOLDS.items() if protocol.cuts == "corpus"
    }


def test_every_protocol_and_setting_is_named():
    fields = [*dataclasses.fields(CrossvalConfig), *dataclasses.fields(CutConfig)]
    names = [*FOLDS, *(field.name for field in fields)]
    assert [name for name in names if name not in PAGE] == []
