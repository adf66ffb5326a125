import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config import presets
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import RunConfig


def test_every_shipped_preset_fits_the_configuration():
    assert all(isinstance(load_preset(name), RunConfig) for name in preset_names())


def test_an_unknown_preset_names_the_nearest(monkeypatch, tmp_path):
    (tmp_path / "quickstart.yaml").write_text("name: quickstart\n")
    monkeypatch.setattr(presets, "_preset_files", lambda: {"quickstart": tmp_path / "quickstart.yaml"})
    assert load_preset("quickstart").name == "quickstart"
    with pytest.raises(ConfigError, match="unknown preset 'quikstart'; did you mean 'quickstart'"):
        load_preset("quikstart")
