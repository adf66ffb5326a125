"""Train encoders of mel images: under a dialogue model, and as in the documents of E2 and E4."""

import json

import numpy as np
import pytest
import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.models.api import Output
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.run import train

COARSE = {"n_mels": 24, "hop_samples": 1024}
VGG = {"frames": "logmel", "frames_options": COARSE, "widths": [4, 8], "linear_dims": [16, 12], "dropout": 0.0}
ALEXNET = {"frames": "logmel3", "frames_options": COARSE, "size": 63, "width": 0.05, "dropout": 0.0}
ENCODERS = {"vgg": VGG, "vgg-batch-norm": VGG | {"batch_norm": True}, "alexnet": ALEXNET}
EPOCHS = {"vgg": 10, "vgg-batch-norm": 10, "alexnet": 4}


@pytest.fixture
def spoken(tiny, monkeypatch, shared_store):  # puts this folder on the path
    import spoken

    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(shared_store))
    return spoken


def audio(name: str) -> dict:
    encoder = name.removesuffix("-batch-norm")
    return {"encoder": encoder, "options": ENCODERS[name], "transforms": ["standardise"]}


def losses(run) -> list[float]:
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train_loss"] for line in lines if line["kind"] == "epoch"]


@pytest.mark.parametrize("name", ENCODERS)
def test_it_learns_under_a_dialogue_model_and_is_the_same_when_loaded_again(name, spoken, tmp_path):
    config = spoken.spoken_config({"audio": audio(name)}, epochs=EPOCHS[name])
    options = {"global_dim": 8, "party_dim": 8, "emotion_dim": 8, "hidden_dim": 16, "dropout": 0.0}
    settings = {"model.name": "emotion-rnn", "model.options": options | {"head_input": "emotion+turn"}}
    config = apply_overrides(config, settings | {"optimizer.learning_rate": 0.03})
    run = train(config, tmp_path / "run")
    found = losses(run)
    assert found[-1] < 0.7 * found[0]
    dialogues = spoken.read_spoken().split("test")
    first, again = (run.classifier().predict(dialogues) for _ in range(2))
    assert first.equals(again)


def test_frames_are_standardised_by_each_bands_statistics_in_train(spoken):
    data = load_data(spoken.spoken_config({"audio": audio("vgg")}))
    rows = data.tables["audio"].rows
    train_ND = np.concatenate([rows[turn.id] for turn in utterances(data.train)])
    assert train_ND.shape[1] == 24
    np.testing.assert_allclose(train_ND.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(train_ND.std(0), 1.0, atol=1e-4)
    test_ND = np.concatenate([rows[turn.id] for turn in utterances(data.corpus.split("test"))])
    assert abs(test_ND.mean(0)).max() > 0.01  # not by the statistics of test


PRESETS = {
    "source-bert-vgg": {
        "features.audio.options": VGG,
        "features.audio.augment.copies": 1,
        "features.audio.augment.pitch_semitones": [],  # these two effects take half a minute
        "features.audio.augment.stretch": [],
    },
    "source-alexnet-bert": {"features.audio.options": ALEXNET},
}


@pytest.fixture
def preset(write_iemocap, tiny_text_model, tmp_path):
    """A document's preset on the generated corpus with small networks; dev is the same as train here."""

    def load(name: str):
        text = load_preset(name).features["text"].options | {"model": str(tiny_text_model)}
        settings = {
            "data.path": str(write_iemocap(tmp_path / "iemocap")),
            "data.train": "all",
            "data.dev": "all",
            "data.cut.protocol": "none",
            "features.text.options": text,
            "training.device": "cpu",
            "training.epochs": 1,
            "data.options": {"scenario": "improvised"},
        }
        return apply_overrides(load_preset(name), settings | PRESETS[name])

    return load


@pytest.mark.parametrize("name", PRESETS)
def test_the_documents_settings_train_on_its_corpus(name, preset, tmp_path):
    run = train(preset(name), tmp_path / "run")
    [loss] = losses(run)
    assert 0 < loss < 3
    assert set(run.scores) == {"all"}


def test_the_soft_labels_of_document_e2_are_the_annotators_percentages(write_iemocap, tmp_path):
    """The document's example: anger, frustration, anger is 0.66 anger and 0.33 frustration; excited counts as happy."""
    config = load_preset("source-bert-vgg")
    corpus = read_corpus(config.data.reader, write_iemocap(tmp_path / "iemocap"), config.data.labels)
    wanted = {
        "all/Ses01F_impro01_M000": {"anger": 2 / 3, "frustrated": 1 / 3},
        "all/Ses01F_impro01_M001": {"happy": 1.0},  # happiness, excited, happiness
        "all/Ses01F_impro01_F002": {"happy": 1.0},  # excited, happiness and excited, excited
        "all/Ses01F_impro01_M002": {"neutral": 2 / 3, "sad": 1 / 3},
    }
    dialogues = [dialogue for dialogue in corpus.split("all") if dialogue.id in wanted]
    batch = collate(dialogues, {}, corpus.label_set)
    for dialogue, shares_C in zip(dialogues, batch.label_distribution[:, 0].tolist(), strict=True):
        expected = [wanted[dialogue.id].get(label, 0.0) for label in corpus.label_set]
        assert shares_C == pytest.approx(expected)
    log_probs = torch.log_softmax(torch.randn(4, 1, 5), dim=-1)
    numerator, denominator = DialogueLoss(config.loss, Classification(corpus.label_set))(Output(log_probs, {}), batch)
    by_hand = -sum(
        float(q * log_p) for q, log_p in zip(batch.label_distribution.flatten(), log_probs.flatten(), strict=True)
    )
    assert float(numerator) == pytest.approx(by_hand, rel=1e-5)
    assert denominator == 4
