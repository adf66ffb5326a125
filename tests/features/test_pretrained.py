import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.pretrained import Pretrained


@pytest.fixture
def folder(speech_model, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(speech_model("wav2vec2-group"), tmp_path / "model"))


def pretrained(source: Path | str) -> Pretrained:
    return Pretrained(encoder="hf-audio", source=str(source))


def test_a_missing_folder_is_told_without_asking_the_hub(tmp_path):
    for source in (tmp_path / "nowhere", "./nowhere", "models/speech/nowhere"):
        with pytest.raises(FeatureError, match=r"hf-audio: no folder .*nowhere; give a transformers model folder"):
            pretrained(source).identity()


def test_a_hub_name_that_cannot_be_reached_says_what_else_to_give():
    with pytest.raises(FeatureError, match=r"cannot load 'nobody/nothing'(.|\n)*give a folder"):
        pretrained("nobody/nothing").identity()


def test_a_folder_without_weights_or_settings_names_all_it_lacks(tmp_path):
    with pytest.raises(FeatureError, match=r"has no model\.safetensors, no config\.json, no preprocessor_config\.json"):
        pretrained(tmp_path).identity()


def test_the_identity_changes_with_weights_and_settings_but_not_with_the_place_or_notes(folder, speech_model):
    first = pretrained(speech_model("wav2vec2-group")).identity()
    (folder / "README.md").write_text("notes")
    assert pretrained(folder).identity() == first
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_normalize": False}))
    changed = pretrained(folder).identity()
    assert [name for name in first if first[name] != changed[name]] == ["preprocessor_config.json"]


def test_weights_that_are_missing_are_an_error_not_random_numbers(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["masked_spec_embed"]  # read in training only
    save_file(tensors, path, {"format": "pt"})
    pretrained(folder).load_model()
    del tensors["encoder.layers.1.attention.k_proj.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(FeatureError, match=r"lacks 1 weights .* encoder\.layers\.1\.attention\.k_proj\.weight; they"):
        pretrained(folder).load_model()


def test_the_names_of_older_checkpoints_are_understood(folder, speech_model):
    """Published wav2vec2 weights call the two halves of the weight norm weight_g and weight_v, and have a prefix."""
    path = folder / "model.safetensors"
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {}
    for name, tensor in load_file(path).items():
        for new, before in old.items():
            name = name.replace(new, before)
        tensors[f"wav2vec2.{name}"] = tensor
    tensors["lm_head.weight"] = torch.zeros(5, 16)
    save_file(tensors, path, {"format": "pt"})
    assert any(name.endswith("weight_g") for name in tensors)
    found = pretrained(folder).load_model().state_dict()
    expected = pretrained(speech_model("wav2vec2-group")).load_model().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_broken_and_hostile_folders_are_refused_and_nothing_is_executed(folder, tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(FeatureError, match="cannot load"):
        pretrained(folder).load_model()
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Payload()}, folder / "pytorch_model.bin")
    with pytest.raises(FeatureError, match="cannot load"):
        pretrained(folder).load_model()
    (folder / "config.json").write_text("[]")
    with pytest.raises(FeatureError, match="cannot load"):
        pretrained(folder).load_model()
    assert not (tmp_path / "executed").exists()


def test_bin_weights_load_where_there_are_no_safetensors(folder, speech_model):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "pytorch_model.bin" in pretrained(folder).identity()
    found = pretrained(folder).load_model().state_dict()
    expected = pretrained(speech_model("wav2vec2-group")).load_model().state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
