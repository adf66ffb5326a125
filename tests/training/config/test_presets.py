import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config import presets
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import RunConfig


def test_every_shipped_preset_fits_the_configuration():
    assert all(isinstance(load_preset(name), RunConfig) for name in preset_names())


def test_an_unknown_preset_names_the_nearest(monkeypatch, tmp_path):
    (tmp_path / "quickstart.yaml").write_text("name: quickstart\n")
    monkeypatch.setattr(presets, "_packaged", lambda: {"quickstart": tmp_path / "quickstart.yaml"})
    assert load_preset("quickstart").name == "quickstart"
    with pytest.raises(ConfigError, match="unknown preset 'quikstart'; did you mean 'quickstart'"):
        load_preset("quikstart")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder presets of the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    return tmp_path / "presets"


def test_presets_of_the_working_folder_are_found_beside_those_of_the_package(own):
    (own / "mine.yaml").write_text("name: mine\nseed: 7\n")
    assert load_preset("mine").seed == 7
    assert {"mine", "quickstart"} <= set(preset_names())


def test_a_name_that_the_package_has_is_refused(own):
    (own / "quickstart.yaml").write_text("name: other\n")
    with pytest.raises(ConfigError, match=r"presets/quickstart.yaml: the package has a preset 'quickstart' too"):
        load_preset("quickstart")


def test_code_in_a_preset_of_the_working_folder_needs_trust(own):
    (own / "mine.yaml").write_text("model: {name: 'os:system'}\n")
    with pytest.raises(ConfigError, match="is code"):
        load_preset("mine")
    assert load_preset("mine", trust_code=True).model.name == "os:system"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "quickstart"])
def test_a_new_preset_needs_a_name_that_is_free_and_no_path(name):
    with pytest.raises(ConfigError):
        presets.check_new_name(name)
    presets.check_new_name("meld-best_2.0")
