"""Training on augmented variants: dev and test never see one."""

import json

import numpy as np
import pandas as pd
import pytest
from accelerate import Accelerator

from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.augmentation import variant_id
from dialogue_ser.features.audio.frames import AcousticFrames
from dialogue_ser.training.config.files import config_from_dict, config_to_dict
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.data.augmented import max_copies
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.loop.setup import make_batches
from dialogue_ser.training.run import train

AUGMENT = {"copies": 2, "noise_snr_db": [5, 30], "shift_seconds": [-0.2, 0.2]}
FRAMES = {"mean_normalise": False}


@pytest.fixture
def spoken(tiny, request, monkeypatch, shared_store):  # puts this folder on the path
    import spoken

    if "encoded" not in request.fixturenames:  # who counts what is encoded begins with an empty store
        monkeypatch.setenv("DIALOGUE_SER_CACHE", str(shared_store))
    return spoken


@pytest.fixture
def encoded(monkeypatch):
    """(id, effects) of every utterance that an acoustic encoder has encoded."""
    seen = []
    encode = AcousticFrames.encode

    def recording(self, dialogues):
        seen.extend((turn.id, turn.audio.effects) for turn in utterances(dialogues) if turn.audio)
        return encode(self, dialogues)

    monkeypatch.setattr(AcousticFrames, "encode", recording)
    return seen


def config_with(spoken, **augment):
    audio = {"encoder": "mfcc39", "options": FRAMES, "transforms": ["standardise"], "augment": augment}
    return spoken.spoken_config({"audio": audio, "text": {"encoder": "tiny:letters"}}, epochs=2)


def test_only_training_turns_are_ever_changed_and_each_variant_is_encoded_once(spoken, encoded):
    config = config_with(spoken, **AUGMENT)
    data = load_data(config)
    train_ids = {turn.id for turn in utterances(data.train)}
    changed = [name for name, effects in encoded if effects is not None]
    assert sorted(changed) == sorted(variant_id(name, copy) for name in train_ids for copy in (1, 2))
    held_out = {turn.id for split in ("dev", "test") for turn in utterances(data.corpus.split(split))}
    assert held_out <= {name for name, effects in encoded if effects is None}
    for table in data.tables.values():
        varied_ids = {name.partition("#")[0] for name in table.rows if "#" in name}
        assert varied_ids <= train_ids
    encoded.clear()
    load_data(config)
    assert encoded == [], "a second run, whatever its seed, finds all variants in the store"


def test_statistics_come_from_the_originals(spoken):
    plain, varied = (load_data(config_with(spoken, **augment)) for augment in ({}, AUGMENT))
    assert plain.feature_fingerprints == varied.feature_fingerprints
    assert plain.masked == varied.masked
    assert all(np.array_equal(varied.tables["audio"].rows[key], row) for key, row in plain.tables["audio"].rows.items())


def test_epochs_train_on_originals_and_variants_and_the_batch_holds_what_was_picked(spoken):
    config = config_with(spoken, **AUGMENT)
    data = load_data(config)
    batches = make_batches(config, data, Accelerator(cpu=True))
    seen = []
    for epoch in (1, 2):
        steps = [batch for step in batches.steps(data.train, config.seed, epoch) for batch in step]
        names = [name for batch in steps for dialogue in batch.utterance_ids for name in dialogue]
        assert sorted(name.partition("#")[0] for name in names) == sorted(turn.id for turn in utterances(data.train))
        assert {name.partition("#")[2] for name in names} == {"", "variant1", "variant2"}
        seen.append(sorted(names))
        batch = steps[0]
        for b, dialogue in enumerate(batch.utterance_ids):
            for t, name in enumerate(dialogue):
                row, n = data.tables["audio"].rows[name], int(batch.lengths["audio"][b, t])
                np.testing.assert_array_equal(batch.features["audio"][b, t, :n].numpy(), row)
                text = data.tables["text"].rows[name.partition("#")[0]]
                np.testing.assert_array_equal(batch.features["text"][b, t].numpy(), text)
        resumed = [batch for step in batches.steps(data.train, config.seed, epoch, first_step=1) for batch in step]
        assert [batch.utterance_ids for batch in resumed] == [batch.utterance_ids for batch in steps[1:]]
    assert seen[0] != seen[1]


def test_a_run_with_augmentation_scores_the_turns_of_the_corpus_alone(spoken, tmp_path):
    run = train(config_with(spoken, **AUGMENT), tmp_path / "run")
    predictions = pd.read_parquet(run.folder / "predictions.parquet")
    assert not predictions["utterance_id"].str.contains("#").any()
    assert set(predictions["split"]) == {"train", "dev", "test"}
    assert predictions["utterance_id"].is_unique


def test_frames_reach_a_model_that_learns_from_them(spoken, tmp_path):
    audio = {"encoder": "mfcc39", "options": FRAMES, "transforms": ["impute", "standardise"]}
    run = train(spoken.spoken_config({"audio": audio}, epochs=12), tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["train_loss"] for line in lines if line["kind"] == "epoch"]
    assert losses[-1] < 0.6 * losses[0]
    classifier = run.classifier()
    assert classifier.predict(spoken.read_spoken().split("test")[:1]) is not None


def test_an_encoder_that_reads_no_audio_cannot_be_augmented(spoken):
    features = {"text": {"encoder": "tiny:letters", "augment": AUGMENT}}
    with pytest.raises(ConfigError, match=r"features\.text\.augment: encoder 'tiny:letters' does not decode"):
        load_data(spoken.spoken_config(features))


def test_augmentation_is_read_from_yaml_and_overridden_by_dots(spoken):
    config = config_with(spoken)
    assert max_copies(config) == 0
    changed = apply_overrides(
        config, {"features.audio.augment.copies": 3, "features.audio.augment.stretch": [0.9, 1.1]}
    )
    assert max_copies(changed) == 3
    assert changed.features["audio"].augment.stretch == (0.9, 1.1)
    assert config_from_dict(config_to_dict(changed)) == changed
    with pytest.raises(ConfigError, match=r"augment\.stretch: found"):
        apply_overrides(changed, {"features.audio.augment.stretch": [9, 10]})
