import json
import shutil

import pytest

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.pretrained.hub_code import refuse_hub_code
from dialogue_ser.features.pretrained.loading import PretrainedModel, bare_model

KERNEL = "somebody/attention-kernel"


@pytest.mark.parametrize(
    "entry",
    [
        {"attn_implementation": KERNEL},
        {"_attn_implementation": KERNEL},
        {"_experts_implementation": KERNEL},
        {"attn_implementation": {"": KERNEL}},
        {"text_config": {"attn_implementation": f"paged|{KERNEL}"}},
    ],
)
def test_a_folder_that_names_a_kernel_of_the_hub_is_refused(tiny_text_model, tmp_path, entry) -> None:
    folder = shutil.copytree(tiny_text_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entry}))
    with pytest.raises(FeatureError, match=f"asks for code from the hub: .*{KERNEL}.*a file may not run code"):
        PretrainedModel(str(folder), encoder="hf-text").load()
    with pytest.raises(FeatureError, match="the saved architecture 'bert' asks for code from the hub"):
        bare_model({**config, **entry})


def test_a_damaged_configuration_is_one_clear_error(tiny_text_model, tmp_path) -> None:
    folder = shutil.copytree(tiny_text_model, tmp_path / "model")
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(FeatureError, match="is nested too deeply; copy the folder again"):
        PretrainedModel(str(folder), encoder="hf-text").load()


def test_ordinary_configurations_are_accepted() -> None:
    ordinary = {"_name_or_path": "owner/name", "attn_implementation": "sdpa", "model_type": "bert"}
    refuse_hub_code(ordinary, "x")
    with pytest.raises(FeatureError):  # the same configuration, if it names code of the hub
        refuse_hub_code({**ordinary, "attn_implementation": "owner/kernel"}, "x")
