"""Names that become parts of flags, of files and of weights."""

import pytest
from torch import nn

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import FeatureConfig, RunConfig

FEATURE = FeatureConfig(encoder="minilm")
TORCH = sorted(name for name in dir(nn.ModuleDict()) if not name.startswith("_"))


@pytest.mark.parametrize(
    "name", [*TORCH, "training", "", "a.b", "a/b", "..", "a b", "-a", "_a", "a\nb", "x" * 65, "A:b"]
)
def test_a_modality_that_would_fail_later_is_refused_at_once(name):
    with pytest.raises(ConfigError, match="features: found the modality"):
        RunConfig(features={name: FEATURE})


@pytest.mark.parametrize("name", ["text", "my-ear", "text2", "ünï", "0", "A_b"])
def test_ordinary_names_of_modalities_are_right(name):
    assert list(RunConfig(features={name: FEATURE}).features) == [name]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\0b", "a\nb", "x" * 5000, "é" * 101])
def test_a_name_of_a_run_that_can_be_no_folder_is_refused(name):
    with pytest.raises(ConfigError, match="expected the name of one folder") as caught:
        RunConfig(name=name)
    assert len(str(caught.value)) < 300
