import pytest

from dialogue_ser.corpus.cut import make_folds
from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.augmentation import Augmentation
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import DataConfig, FeatureConfig, RunConfig, TrainingConfig
from dialogue_ser.training.dry_run.smoke import N_DIALOGUES, smoke_config, smoke_corpus


def test_dialogues_are_the_samples_first():
    corpus, whole = smoke_corpus("dialogues"), read_corpus("sample")
    assert {name: len(dialogues) for name, dialogues in corpus.splits.items()} == N_DIALOGUES
    assert corpus.split("train") == whole.split("train")[: N_DIALOGUES["train"]]


def test_single_utterances_are_dealt_to_sessions_scenarios_and_speakers():
    corpus = smoke_corpus("utterances")
    [(name, dialogues)] = corpus.splits.items()
    turns = list(utterances(dialogues))
    assert name == "all"
    assert all(len(dialogue) == 1 for dialogue in dialogues)
    assert len({turn.id for turn in turns}) == len(turns)
    assert {turn.speaker for turn in turns} == {f"Ses0{session}{gender}" for session in "135" for gender in "FM"}
    assert all(turn.speaker == f"Ses0{turn.attributes['session']}{turn.attributes['gender']}" for turn in turns)
    assert {turn.attributes["scenario"] for turn in turns} == {"improvised", "scripted"}
    scenarios = {(turn.attributes["session"], turn.attributes["scenario"]) for turn in turns}
    assert len(scenarios) == 6  # every session has both


@pytest.mark.parametrize("protocol", [name for name in FOLDS if name not in ("own-splits", "cross-fit")])
def test_single_utterances_go_through_every_protocol(protocol):
    folds = make_folds(protocol, smoke_corpus("utterances").split("all"))
    assert len(folds) <= 6  # it stays quick


def test_only_data_networks_and_length_change(tmp_path):
    config = load_preset("meld-text-minilm-context")
    small = smoke_config(config, "dialogues", tmp_path)
    assert (small.model, small.loss, small.optimizer) == (config.model, config.loss, config.optimizer)
    assert small.training.epochs == 1
    changed = {**config.features["text"].options, "model": str(tmp_path / "text")}
    assert small.features["text"].options == changed
    assert (tmp_path / "text" / "model.safetensors").stat().st_size < 1e6


def test_every_input_that_is_not_on_this_machine_is_replaced(tmp_path):
    features = {
        "praat": FeatureConfig(encoder="precomputed", options={"path": "nowhere.csv"}, transforms=("standardise",)),
        "speech": FeatureConfig(encoder="layer-mix", options={"frames": "hf-audio", "frames_options": {"model": "x"}}),
        "heard": FeatureConfig(encoder="opensmile", augment=Augmentation(copies=4, stretch=(0.9, 1.1))),
    }
    config = RunConfig(data=DataConfig(reader="iemocap"), features=features, training=TrainingConfig(epochs=90))
    small = smoke_config(config, "utterances", tmp_path)
    assert small.features["praat"] == FeatureConfig(encoder="opensmile", transforms=("standardise",))
    assert small.features["speech"].options["frames_options"] == {"model": str(tmp_path / "hf-audio")}
    assert small.features["heard"].augment.copies == 1
    assert (small.data.reader, small.data.options) == ("sample", {})


def test_a_run_without_features_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no modality"):
        smoke_config(RunConfig(), "dialogues", tmp_path)
