"""Users get the attention map of every head and utterance, with the times of its frames."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dialogue_ser.corpus.schema import AudioRef, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model
from dialogue_ser.models.ensemble import Ensemble

LABELS = LabelSet("emotion", ("calm", "glad", "cross"))
RATE = 8000


MEL = {"n_mels": 4, "sample_rate_hz": 8000, "n_fft": 1024, "frame_samples": 800, "hop_samples": 800}


@register_encoder("test-words")
class Words:
    """Frames of two numbers per word."""

    name, kind = "test-words", "frames"

    def __init__(self, modality: str = "text") -> None:
        self.modality = modality

    def fingerprint(self):
        return {}

    def encode(self, dialogues):
        return {
            turn.id: np.array([[len(word), ord(word[0])] for word in turn.text.split()], dtype=np.float32)
            for turn in utterances(dialogues)
        }


@pytest.fixture
def dialogue(tmp_path: Path) -> Dialogue:
    """0.6 s with three words, 1.2 s with one, and a turn that is only written."""
    turns = []
    for t, (seconds, text) in enumerate([(0.6, "no stop never"), (1.2, "yes"), (None, "fine then")]):
        audio = None
        if seconds is not None:
            path = tmp_path / f"{t}.wav"
            soundfile.write(path, np.random.default_rng(t).uniform(-0.5, 0.5, int(seconds * RATE)), RATE)
            audio = AudioRef(path)
        turns.append(Utterance(id=f"new/u{t}", speaker="Ann", text=text, audio=audio))
    return Dialogue("new/d", tuple(turns))


@pytest.fixture
def pipelines(dialogue: Dialogue) -> dict[str, FeaturePipeline]:
    options = {"channels": 4, "kernel_size": 3, "n_heads": 2, "out_dim": 5}
    audio = {**options, "frames": "mel-delta", "frames_options": MEL, "strides": [2, 1]}
    return {
        "audio": FeaturePipeline.build("audio", "conv-attention", audio, transforms=["standardise"]).fit([dialogue]),
        "text": FeaturePipeline.build("text", "conv-attention", {**options, "frames": "test-words"}).fit([dialogue]),
    }


OPTIONS = {
    "emotion-rnn": {"global_dim": 4, "party_dim": 4, "emotion_dim": 4, "hidden_dim": 4},
    "utterance": {},
    "fusion-attention": {"units": {"audio": 4, "text": 6}, "fusion_dim": 5, "hidden_dim": 4},
}


def _classifier(pipelines: dict[str, FeaturePipeline], model: str = "emotion-rnn") -> DialogueClassifier:
    torch.manual_seed(2)
    options = OPTIONS[model]
    inputs = {name: pipeline.spec for name, pipeline in pipelines.items()}
    return DialogueClassifier(build_model(model, options, inputs, 3), LABELS, pipelines)


@pytest.mark.parametrize("model", ["emotion-rnn", "utterance"])
def test_every_utterance_has_a_map_per_modality_that_it_has(dialogue, pipelines, model):
    maps = _classifier(pipelines, model).attention_maps(dialogue)
    assert [(one.utterance_id, one.modality, one.weights_HLL.shape) for one in maps] == [
        ("new/u0", "audio", (2, 4, 4)),  # 7 frames, the first at 0 s and the last at 0.6 s, of which every other one
        ("new/u0", "text", (2, 3, 3)),
        ("new/u1", "audio", (2, 7, 7)),
        ("new/u1", "text", (2, 1, 1)),
        ("new/u2", "text", (2, 2, 2)),
    ]
    for one in maps:
        np.testing.assert_allclose(one.weights_HLL.sum(-1), 1.0, atol=1e-6)
        assert one.names == ("head 1", "head 2")
    assert [one.step_seconds for one in maps if one.modality == "audio"] == pytest.approx([0.2, 0.2], rel=0.15)
    assert [one.step_seconds for one in maps if one.modality == "text"] == [None] * 3


def test_they_are_the_weights_of_the_model_that_predicts(dialogue, pipelines):
    classifier = _classifier(pipelines)
    classifier.model.train()
    [found, _] = classifier.attention_maps(dialogue, utterance_ids=["new/u1"])[:2]
    assert classifier.model.training
    encoder = classifier.model.eval().turns.encoders["audio"]
    row = torch.from_numpy(pipelines["audio"].table([dialogue]).rows["new/u1"])[None]
    length = torch.tensor([13])
    [expected] = encoder.attention_maps(row, length, length)
    np.testing.assert_array_equal(found.weights_HLL, expected.detach().numpy())


def test_of_an_ensemble_they_are_the_first_members(dialogue, pipelines):
    one, other = _classifier(pipelines), _classifier(pipelines)
    torch.nn.init.normal_(other.model.turns.encoders["audio"].attention.query.weight)
    both = DialogueClassifier(Ensemble([one.model, other.model]), LABELS, pipelines)
    found, first, second = (some.attention_maps(dialogue)[2].weights_HLL for some in (both, one, other))
    np.testing.assert_array_equal(found, first)
    assert np.abs(first - second).max() > 1e-4


def test_fusion_attention_shows_each_branchs_attention_and_the_heads_of_the_fusion(dialogue):
    frozen = {
        "audio": FeaturePipeline.build("audio", "mel-delta", MEL).fit([dialogue]),
        "text": FeaturePipeline.build("text", "test-words", {}).fit([dialogue]),
    }
    classifier = _classifier(frozen, "fusion-attention")
    maps = classifier.attention_maps(dialogue)
    asking = ("self-attention", "fusion 1", "fusion 2")
    assert [(one.utterance_id, one.modality, one.names, one.weights_HLL.shape) for one in maps] == [
        ("new/u0", "audio", asking, (3, 7, 7)),
        ("new/u0", "text", asking[:1], (1, 3, 3)),
        ("new/u1", "audio", asking, (3, 13, 13)),
        ("new/u1", "text", asking[:1], (1, 1, 1)),
        ("new/u2", "text", asking[:1], (1, 2, 2)),
    ]
    for one in maps:
        np.testing.assert_allclose(one.weights_HLL.sum(-1), 1.0, atol=1e-6)
    assert maps[0].step_seconds == pytest.approx(0.1, rel=0.15)
    model, length = classifier.model.eval(), torch.tensor([7])
    row = torch.from_numpy(frozen["audio"].table([dialogue]).rows["new/u0"])[None]
    expected = model.branches["audio"].weights(row, length, length)
    np.testing.assert_array_equal(maps[0].weights_HLL[:1], expected.detach().numpy())


def test_fusion_attention_over_one_modality_has_no_fusion_to_show(dialogue):
    audio = {"audio": FeaturePipeline.build("audio", "mel-delta", MEL).fit([dialogue])}
    maps = _classifier(audio, "fusion-attention").attention_maps(dialogue)
    assert [(one.modality, one.names) for one in maps] == [("audio", ("self-attention",))] * 2


def test_a_model_whose_encoders_have_none_says_so(dialogue):
    pipeline = FeaturePipeline.build("audio", "mel-delta", MEL).fit([dialogue])
    with pytest.raises(ConfigError, match=r"no encoder of this model \(utterance\).*conv-attention"):
        _classifier({"audio": pipeline}, "utterance").attention_maps(dialogue)
