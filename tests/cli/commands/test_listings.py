from importlib import resources

import pytest
import yaml

from dialogue_ser.cli.commands.listings import preset_summary
from dialogue_ser.evaluation.published import published_rows
from dialogue_ser.features.registry import ENCODERS
from dialogue_ser.models import MODELS
from dialogue_ser.training.config.presets import preset_names


def test_every_preset_is_listed_with_a_line(cli):
    status, out, _ = cli("presets")
    assert status == 0
    for name in preset_names():
        assert name in out
        assert preset_summary(name).endswith("."), f"{name}.yaml must begin with a sentence"
        assert preset_summary(name) in out


def test_every_encoder_frozen_or_trained_is_listed(cli):
    from dialogue_ser.encoders import TRAINED_ENCODERS

    status, out, _ = cli("encoders")
    assert status == 0
    assert all(name in out for name in (*ENCODERS, *TRAINED_ENCODERS))


def test_every_model_is_listed_with_a_line(cli):
    status, out, _ = cli("models")
    assert status == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()[2:]}
    assert lines.pop("also:") == "your own model as package.module:Class"
    assert lines.keys() == MODELS.keys()
    assert all(len(line) > 10 for line in lines.values())


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_shown_as_yaml_with_all_settings(cli, name):
    status, out, _ = cli("presets", "show", name)
    assert status == 0
    own = yaml.safe_load((resources.files("dialogue_ser.presets") / f"{name}.yaml").read_text())
    shown = yaml.safe_load(out)
    assert shown["name"] == name
    assert shown["features"].keys() == own["features"].keys()
    assert shown["training"].keys() > own.get("training", {}).keys()


def test_published_numbers_are_listed_as_not_measured(cli):
    status, out, _ = cli("published")
    assert status == 0
    assert "nothing here was measured by this package" in out.splitlines()[0]
    assert sum(line.startswith("published: ") for line in out.splitlines()) == len(published_rows())
    assert all(said in out for said in ("0.7323 ± 0.0407", "UA 0.6327", "source-alexnet-bert", "quoted by E2"))


def test_an_unknown_preset_names_the_nearest(cli):
    status, _, err = cli("presets", "show", "quickstar")
    assert status == 2
    assert "did you mean 'quickstart'?" in err
