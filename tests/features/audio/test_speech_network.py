import json
import shutil

import numpy as np
import pytest
import torch

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.audio.speech_network import load_network
from dialogue_ser.features.pretrained.loading import SPEECH_MODEL, PretrainedModel


def load(folder, highest_state=None):
    return load_network(PretrainedModel(str(folder), encoder="hf-audio", kind=SPEECH_MODEL), highest_state)


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(n_samples).normal(scale=0.1, size=n_samples).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 399, 400, 401, 719, 720, 5000, 16000, 123_457])
def test_a_waveform_network_has_a_frame_of_400_samples_every_320(speech_model, n_samples):
    """The front end of wav2vec2 in closed form, independent of the chain of convolutions."""
    network = load(speech_model("wav2vec2-layer"))
    assert network.min_samples == 400
    expected = 0 if n_samples < 400 else (n_samples - 400) // 320 + 1
    assert network.n_frames(n_samples) == expected
    if 0 < expected < 60:
        states = network.hidden_states(network.pieces(noise(n_samples), 30.0), "cpu", torch.float32)
        assert {state.shape[1] for state in states} == {expected}


@pytest.mark.parametrize("n_samples", [1, 320, 321, 8000, 15999, 16000, 40000])
def test_whisper_has_a_frame_centred_on_every_320th_sample_of_the_clip(speech_model, n_samples):
    network = load(speech_model("whisper"))
    assert network.n_frames(n_samples) == len(range(0, n_samples, 320))
    states = network.hidden_states(network.pieces(noise(n_samples), 30.0), "cpu", torch.float32)
    assert states[0].shape[1] == 50  # always the whole window


@pytest.mark.parametrize("kind", ["wav2vec2-group", "whisper"])
@pytest.mark.parametrize("n_samples", [400, 16000, 17000, 100_003])
@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.37, 1.0])
def test_pieces_are_short_enough_and_have_the_frames_of_the_whole(speech_model, kind, n_samples, seconds):
    network = load(speech_model(kind))
    samples = noise(n_samples)
    pieces = network.pieces(samples, seconds)
    assert sum(network.n_frames(len(piece)) for piece in pieces) == network.n_frames(n_samples)
    assert all(network.n_frames(len(piece)) >= 1 for piece in pieces)
    most = max(int(seconds * 16000), 400)
    assert max(map(len, pieces)) <= most + 319
    lengths = [network.n_frames(len(piece)) for piece in pieces]
    assert max(lengths) - min(lengths) <= 1


def test_convolutions_give_the_same_for_pieces_as_for_the_whole_clip(speech_model):
    """The convolutions of a layer-norm model see nothing beyond a frame's 400 samples."""
    network = load(speech_model("wav2vec2-layer"))
    whole = network.pieces(noise(20_000), 30.0)
    pieces = network.pieces(noise(20_000), 0.5)
    assert (len(whole), len(pieces)) == (1, 3)
    extract = network._model.feature_extractor
    with torch.no_grad():
        expected = extract(torch.from_numpy(whole[0])[None])
        found = torch.cat([extract(torch.from_numpy(piece)[None]) for piece in pieces], dim=-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_clip_is_normalised_as_a_whole_and_only_if_the_model_wants_it(speech_model, tmp_path):
    samples = noise(20_000) + 0.3
    pieces = load(speech_model("wav2vec2-group")).pieces(samples, 0.5)
    expected = (samples - samples.mean()) / samples.std()
    np.testing.assert_allclose(pieces[0], expected[: len(pieces[0])], atol=1e-3)
    np.testing.assert_allclose(pieces[-1], expected[-len(pieces[-1]) :], atol=1e-3)
    folder = shutil.copytree(speech_model("wav2vec2-group"), tmp_path / "plain")
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_normalize": False}))
    np.testing.assert_array_equal(load(folder).pieces(samples, 30.0)[0], samples)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wav2vec2-layer", "hubert-layer", "wavlm-layer", "whisper"])
def test_layers_above_the_highest_needed_state_are_dropped_without_a_change(speech_model, kind):
    full, cut = load(speech_model(kind)), load(speech_model(kind), highest_state=1)
    piece = full.pieces(noise(9000), 30.0)
    with torch.no_grad():
        wanted = full.hidden_states(piece, "cpu", torch.float32)
        found = cut.hidden_states(piece, "cpu", torch.float32)
    assert (len(wanted), len(found)) == (4, 3)
    assert full.n_hidden_states == cut.n_hidden_states == 4
    for layer in (0, 1):
        torch.testing.assert_close(found[layer], wanted[layer], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "is_alone"),
    [
        ("wav2vec2-group", True),
        ("wav2vec2-layer", False),
        ("hubert-group", True),
        ("hubert-layer", False),
        ("hubert-batch", True),
        ("wavlm-group", True),
        ("wavlm-layer", False),
        ("data2vec", True),
        ("conformer", True),
        ("whisper", False),
    ],
)
def test_only_models_trained_with_masks_are_padded(speech_model, kind, is_alone):
    assert load(speech_model(kind)).needs_equal_lengths is is_alone


def test_a_layer_norm_model_without_masks_in_its_settings_is_not_padded(speech_model, tmp_path):
    folder = shutil.copytree(speech_model("wav2vec2-layer"), tmp_path / "unmasked")
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"return_attention_mask": False}))
    assert load(folder).needs_equal_lengths


def test_other_architectures_and_foreign_settings_are_refused(tiny_text_model, speech_model, tmp_path):
    with pytest.raises(
        FeatureError, match=r"is a model of type 'bert'; expected one of wav2vec2, .*whisper; give a sp"
    ):
        load(tiny_text_model)
    folder = shutil.copytree(speech_model("wav2vec2-group"), tmp_path / "mixed")
    shutil.copy(speech_model("whisper") / "preprocessor_config.json", folder)
    with pytest.raises(FeatureError, match=r"settings of a WhisperFeatureExtractor; a wav2vec2 model needs"):
        load(folder)
    folder = shutil.copytree(speech_model("whisper"), tmp_path / "bands")
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"feature_size": 40}))
    with pytest.raises(FeatureError, match=r"makes 40 mel bands, but the model reads 8"):
        load(folder)
