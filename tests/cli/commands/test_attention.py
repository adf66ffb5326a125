"""Train conv-attention as a part of a dialogue model, then draw its attention."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.dry_run.smoke import smoke_corpus
from dialogue_ser.training.run import train

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of EmotionRNN and conv-attention, trained together on a few dialogues of the bundled sample."""
    folder = tmp_path_factory.mktemp("spoken")
    config = {
        "data": {"reader": "sample"},
        "features": {
            "audio": {
                "encoder": "conv-attention",
                "options": {
                    "frames": "mel-delta", "frames_options": {"n_mels": 16}, "channels": 8, "n_heads": 2, "out_dim": 8,
                    "strides": [2, 2],
                },
                "transforms": ["standardise"],
            }
        },
        "model": {
            "name": "emotion-rnn",
            "options": {"global_dim": 8, "party_dim": 8, "emotion_dim": 8, "hidden_dim": 8, "dropout": 0.0},
        },
        "optimizer": {"learning_rate": 0.02},
        "training": {"epochs": 3, "batch_size": 4, "device": "cpu"},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        return train(config_from_dict(config), folder / "run", corpus=smoke_corpus("dialogues")).folder


def test_it_learns_and_its_saved_model_predicts_what_the_run_predicted(spoken: Path) -> None:
    losses = [epoch["train_loss"] for epoch in RunFiles(spoken).epochs]
    assert losses[-1] < losses[0] - 0.05
    frame = pd.read_parquet(spoken / "predictions.parquet").query("split == 'test'")
    dialogues = smoke_corpus("dialogues").split("test")
    classifier = DialogueClassifier.from_pretrained(spoken, device="cpu", trust_code=True)
    columns = [name for name in frame.columns if name.startswith("p_")]
    np.testing.assert_allclose(classifier.predict_proba(dialogues), frame[columns].to_numpy(), atol=1e-5)


def test_an_utterance_of_the_corpus_and_a_sound_file_are_drawn(spoken: Path, sample: Path, cli, tmp_path) -> None:
    by_id, by_file = tmp_path / "id.png", tmp_path / "file.png"
    status, out, err = cli("attention", spoken, "test/dia0_utt0", "--out", by_id)
    assert (status, err) == (0, "")
    assert out == f"2 attention heads: {by_id}\n"
    status, _, err = cli("attention", spoken / "model", sample / "audio/test/dia0_utt0.ogg", "--out", by_file)
    assert (status, err) == (0, "")
    assert by_id.read_bytes().startswith(PNG)
    assert by_file.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["test/dia0_ut0"], "nor an utterance of sample; an id looks like this: test/dia0_utt0"),
        (["test/dia0_utt0", "--out", "map.jpg"], "unknown ending '.jpg'"),
        (["test/dia0_utt0", "--out", "no/map.png"], "does not exist; create it"),
        (["test/dia0_utt0", "--modality", "adio"], "unknown modality 'adio'; did you mean 'audio'"),
    ],
)
def test_what_cannot_be_drawn_is_a_clear_error(spoken: Path, cli, given, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = cli("attention", spoken, *given)
    assert status == 2
    assert message in err
    assert not list(tmp_path.glob("*.png"))


def test_a_model_folder_has_no_corpus_with_utterances(spoken: Path, cli) -> None:
    status, _, err = cli("attention", spoken / "model", "test/dia0_utt0")
    assert status == 2
    assert "no such sound file, and" in err
    assert "is no run directory" in err


def test_a_model_without_an_encoder_with_attention_names_one(run: Path, cli) -> None:
    ids = pd.read_parquet(run / "predictions.parquet")["utterance_id"]
    status, _, err = cli("attention", run, ids[0])
    assert status == 2
    assert "conv-attention" in err
