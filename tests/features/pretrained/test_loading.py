import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.pretrained.loading import SPEECH_MODEL, PretrainedModel, torch_device


@pytest.fixture
def folder(speech_model, tmp_path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(speech_model("wav2vec2-group"), tmp_path / "model"))


def speech(model: Path | str) -> PretrainedModel:
    return PretrainedModel(str(model), encoder="hf-audio", kind=SPEECH_MODEL)


def text(model: Path | str) -> PretrainedModel:
    return PretrainedModel(str(model), encoder="hf-text")


def test_a_missing_folder_is_an_error_and_the_hub_is_not_asked(tmp_path):
    for source in (tmp_path / "nowhere", "./nowhere", "models/speech/nowhere"):
        with pytest.raises(FeatureError, match=r"hf-audio: there is no folder .*nowhere; give the folder of a tr"):
            speech(source).fingerprint()
        with pytest.raises(FeatureError, match=r"hf-text: there is no folder .*nowhere"):
            text(source).load()


def test_a_hub_name_that_cannot_be_reached_says_what_else_to_give():
    for source in (speech("nobody/nothing"), text("nobody/nothing")):
        with pytest.raises(FeatureError, match=r"cannot load 'nobody/nothing'(.|\n)*give a folder"):
            source.fingerprint()


def test_a_folder_without_weights_or_settings_names_all_it_lacks(tmp_path):
    lacking = (
        r"has no \*\.safetensors or \*\.bin, no config\.json, no preprocessor_config\.json or processor_config\.json;"
    )
    with pytest.raises(FeatureError, match=lacking):
        speech(tmp_path).fingerprint()
    with pytest.raises(FeatureError, match=r"has no config\.json; give a folder with config\.json, tokenizer and"):
        text(tmp_path).fingerprint()
    for name in ("config.json", "pytorch_model.bin", "processor_config.json"):
        (tmp_path / name).touch()
    assert set(speech(tmp_path).fingerprint()) == {"config.json", "pytorch_model.bin", "processor_config.json"}
    (tmp_path / "model.safetensors").touch()
    assert "pytorch_model.bin" not in speech(tmp_path).fingerprint(), "safetensors are what is loaded"


def test_the_identity_changes_with_weights_and_settings_but_not_with_the_folder_or_notes(folder, speech_model):
    first = speech(speech_model("wav2vec2-group")).fingerprint()
    (folder / "README.md").write_text("notes")
    assert speech(folder).fingerprint() == first
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_normalize": False}))
    changed = speech(folder).fingerprint()
    assert [name for name in first if first[name] != changed[name]] == ["preprocessor_config.json"]


def test_weights_that_are_missing_are_an_error_not_random_numbers(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["masked_spec_embed"]  # read in training only
    save_file(tensors, path, {"format": "pt"})
    speech(folder).load()
    del tensors["encoder.layers.1.attention.k_proj.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(FeatureError, match=r"lacks 1 weights .* encoder\.layers\.1\.attention\.k_proj\.weight; they"):
        speech(folder).load()


def test_weights_that_a_text_model_lacks_are_an_error_and_nothing_is_printed(tiny_text_model, tmp_path, capfd):
    path = Path(shutil.copytree(tiny_text_model, tmp_path / "model")) / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("pooler.")}
    tensors["cls.predictions.bias"] = torch.zeros(3)  # a head that nobody reads
    save_file(tensors, path, {"format": "pt"})
    expected = text(tiny_text_model).load().state_dict()
    found = text(path.parent).load().state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected if not name.startswith("pooler."))
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(
        FeatureError, match=r"lacks 1 weights .*e\.g\. encoder\.layer\.1\.output\.dense\.bias; they would be"
    ):
        text(path.parent).load()
    assert capfd.readouterr().err == ""


def test_of_an_encoder_decoder_the_encoder_is_loaded_and_the_decoder_may_be_missing(speech_model, tmp_path):
    path = Path(shutil.copytree(speech_model("whisper"), tmp_path / "model")) / "model.safetensors"
    save_file({name: t for name, t in load_file(path).items() if name.startswith("encoder.")}, path, {"format": "pt"})
    found, expected = (speech(folder).load().state_dict() for folder in (path.parent, speech_model("whisper")))
    assert found.keys() == expected.keys()
    assert not any("encoder_attn" in name for name in found)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_encoder_that_was_saved_without_its_decoder_is_read(tmp_path):
    import transformers

    sizes = {"vocab_size": 20, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    torch.manual_seed(0)
    saved = transformers.T5EncoderModel(transformers.T5Config(**sizes)).eval()
    saved.save_pretrained(tmp_path)
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        torch.testing.assert_close(text(tmp_path).load()(ids).last_hidden_state, saved(ids).last_hidden_state)


def test_a_device_that_torch_cannot_use_is_refused():
    assert torch_device("auto", "hf-text") == ("cuda" if torch.cuda.is_available() else "cpu")
    for device in ("cuda:99", "toaster"):
        with pytest.raises(
            ConfigError, match=rf"hf-text: device '{device}' cannot be used \(.+\); use auto, cpu or cuda"
        ):
            torch_device(device, "hf-text")


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
    found = speech(folder).load().state_dict()
    expected = speech(speech_model("wav2vec2-group")).load().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_broken_and_hostile_folders_are_refused_and_nothing_is_executed(folder, tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(FeatureError, match="cannot load"):
        speech(folder).load()
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Payload()}, folder / "pytorch_model.bin")
    with pytest.raises(FeatureError, match="cannot load"):
        speech(folder).load()
    (folder / "config.json").write_text("[]")
    with pytest.raises(FeatureError, match="cannot load"):
        speech(folder).load()
    assert not (tmp_path / "executed").exists()


def test_bin_weights_load_where_there_are_no_safetensors(folder, speech_model):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "pytorch_model.bin" in speech(folder).fingerprint()
    found = speech(folder).load().state_dict()
    expected = speech(speech_model("wav2vec2-group")).load().state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_weights_in_half_precision_are_loaded_as_single_precision(tiny_text_model, tmp_path):
    path = Path(shutil.copytree(tiny_text_model, tmp_path / "model")) / "model.safetensors"
    halved = {name: value.half() for name, value in load_file(path).items()}
    save_file(halved, path, {"format": "pt"})
    state = text(path.parent).load().state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    assert any(torch.equal(value, halved[name].float()) for name, value in state.items() if name in halved)
