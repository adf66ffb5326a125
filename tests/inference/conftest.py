from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dialogue_ser.corpus.schema import AudioRef, Dialogue, LabelSet, Utterance
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = LabelSet("emotion", ("calm", "glad", "cross"))
CLASSES = Classification(LABELS)
VALUES = Regression(("valence", "arousal"), centres=(3.0, 2.5), scales=(0.5, 1.25))
WORDS = ["fine", "okay", "sure", "great", "lovely", "yes", "no", "stop", "never", "well", "then"]
SMALL: Mapping[str, Mapping[str, object]] = {
    "emotion-rnn": {"global_dim": 6, "party_dim": 5, "emotion_dim": 4, "hidden_dim": 7},
    "bigru": {"hidden_dim": 6},
}


@register_encoder("test-letters", modality="text")
def letters(texts):
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32) / 4


@register_encoder("test-loudness", modality="audio")
def loudness(waveforms, sample_rate_hz):
    return np.array([[np.abs(wave).mean(), len(wave) / sample_rate_hz] for wave in waveforms], dtype=np.float32)


def make_dialogue(name: str, n_turns: int, seed: int = 0, folder: Path | None = None) -> Dialogue:
    """Return a dialogue of random words. If a folder is given, every turn also has a short wav file there."""
    rng = np.random.default_rng([seed, n_turns])
    turns = []
    for t in range(n_turns):
        audio = None
        if folder is not None:
            path = folder / f"{name.replace('/', '_')}_{t}.wav"
            soundfile.write(path, rng.uniform(-0.5, 0.5, 800 + 80 * t), 8000)
            audio = AudioRef(path)
        text = " ".join(rng.choice(WORDS, size=4))
        turns.append(Utterance(id=f"{name}_u{t}", speaker=str(rng.choice(["Ann", "Bo"])), text=text, audio=audio))
    return Dialogue(name, tuple(turns))


def make_classifier(model: str, pipelines: Mapping[str, FeaturePipeline], task: Task = CLASSES) -> DialogueClassifier:
    torch.manual_seed(3)
    inputs = {modality: pipeline.spec for modality, pipeline in pipelines.items()}
    system = build_model(model, SMALL.get(model, {}), inputs, task.n_scores, task).eval()
    return DialogueClassifier(system, task, pipelines)


@pytest.fixture
def dialogue() -> Callable[..., Dialogue]:
    return make_dialogue


@pytest.fixture
def text_pipeline() -> FeaturePipeline:
    train = [make_dialogue(f"train/d{i}", 4, seed=i) for i in range(5)]
    return FeaturePipeline.build("text", "test-letters", transforms=["standardise"]).fit(train)


@pytest.fixture
def classifier(text_pipeline: FeaturePipeline) -> DialogueClassifier:
    """Reads text with a registered function."""
    return make_classifier("emotion-rnn", {"text": text_pipeline})


@pytest.fixture
def values(text_pipeline: FeaturePipeline) -> DialogueClassifier:
    """Predicts values of two dimensions from the same text."""
    return make_classifier("emotion-rnn", {"text": text_pipeline}, VALUES)


@pytest.fixture
def bimodal(text_pipeline: FeaturePipeline, tmp_path: Path) -> DialogueClassifier:
    """Reads word ids for a trained TextCNN, and audio."""
    (tmp_path / "train").mkdir()
    train = [make_dialogue(f"train/d{i}", 4, seed=i, folder=tmp_path / "train") for i in range(3)]
    words = FeaturePipeline.build("text", "textcnn", {"n_filters": 4, "embedding_dim": 5, "out_dim": 6}).fit(train)
    audio = FeaturePipeline.build("audio", "test-loudness", transforms=["standardise"]).fit(train)
    return make_classifier("emotion-rnn", {"text": words, "audio": audio})
