"""Train encoders and systems of frames on sound: the encoder of E1 under a dialogue model, and the whole system E1."""

import json

import pytest
import torch
from safetensors.torch import load_file

from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.loop.setup import build_system
from dialogue_ser.training.run import Run, train

SIZES = {"global_dim": 8, "party_dim": 8, "emotion_dim": 8, "hidden_dim": 12, "dropout": 0.0}
ENCODER = {"frames": "mfcc39", "units": 12, "recurrent_dropout": 0.1}


@pytest.fixture
def spoken(tiny):  # puts this folder on the path
    import spoken

    return spoken


def losses(run: Run) -> list[float]:
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train_loss"] for line in lines if line["kind"] == "epoch"]


def moved(config: RunConfig, run: Run, beginning: str) -> set[str]:
    """Return the last parts of the names of tensors that start so and that training has changed."""
    torch.manual_seed(config.seed)
    drawn = build_system(config, load_data(config)).state_dict()
    learnt = load_file(run.folder / "model" / "model.safetensors")
    names = [name for name in drawn if beginning in name]
    return {name.rpartition(".")[2] for name in names if not torch.allclose(drawn[name], learnt[name])}


def test_gru_attention_learns_with_the_dialogue_model_above_it(spoken, tmp_path):
    config = spoken.spoken_config({"audio": {"encoder": "gru-attention", "options": ENCODER}}, epochs=12)
    config = apply_overrides(
        config, {"model.name": "emotion-rnn", "model.options": SIZES | {"head_input": "emotion+turn"}}
    )
    run = train(config, tmp_path / "run")
    found = losses(run)
    assert found[-1] < 0.7 * found[0]
    assert moved(config, run, ".branch.") >= {"weight_ih_l0", "weight_hh_l0", "weight", "running_mean"}
    dialogues = spoken.read_spoken().split("test")
    first, again = (run.classifier().predict(dialogues) for _ in range(2))
    assert first.equals(again)


def test_the_whole_system_learns_from_sound_and_words_and_is_the_same_when_loaded_again(spoken, tmp_path):
    features = {"audio": {"encoder": "mfcc39"}, "text": {"encoder": "framed:WordLetters"}}
    config = spoken.spoken_config(features, epochs=12)
    options = {"units": {"audio": 8, "text": 12}, "fusion_dim": 12, "hidden_dim": 16, "dropout": 0.1}
    penalty = {"branches.*.gru": 1e-4, "fusion": 1e-3}
    overrides = {"model.name": "fusion-attention", "model.options": options, "optimizer.l2": penalty}
    run = train(apply_overrides(config, overrides), tmp_path / "run")
    found = losses(run)
    assert found[-1] < 0.7 * found[0]
    dialogues = spoken.read_spoken().split("test")
    first, again = (run.classifier(trust_code=True).predict(dialogues) for _ in range(2))
    assert first.equals(again)
