import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.inference import loop
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import MODELS, build_model

PAIRS = [("Ann", "fine okay"), ("Bo", "no stop never"), ("Ann", "great lovely yes")]


def test_there_is_one_row_per_turn_in_the_order_given(classifier, dialogue):
    dialogues = [dialogue("new/long", 7), dialogue("new/short", 1), dialogue("new/middle", 4)]
    table = classifier.predict(dialogues)
    assert list(table["utterance_id"]) == [turn.id for d in dialogues for turn in d]
    assert list(table["turn"]) == [*range(7), 0, *range(4)]
    columns = ["dialogue_id", "utterance_id", "turn", "speaker", "text", "predicted", "p_calm", "p_glad", "p_cross"]
    assert list(table.columns) == columns


def test_probabilities_sum_to_one_and_the_largest_is_predicted(classifier, dialogue):
    table = classifier.predict([dialogue("new/d", 9)])
    probabilities = table[["p_calm", "p_glad", "p_cross"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert list(table["predicted"]) == [("calm", "glad", "cross")[i] for i in probabilities.argmax(axis=1)]


def test_pairs_and_mappings_and_dialogues_are_labelled_alike(classifier):
    by_pairs = classifier.predict(PAIRS)
    by_mappings = classifier.predict([{"speaker": s, "text": t} for s, t in PAIRS])
    pd.testing.assert_frame_equal(by_pairs, by_mappings)
    from dialogue_ser.inference.conversations import as_dialogues

    pd.testing.assert_frame_equal(by_pairs, classifier.predict(as_dialogues(PAIRS)))


def test_who_speaks_matters(classifier):
    same = classifier.predict_proba([("Ann", text) for _, text in PAIRS])
    assert np.abs(same - classifier.predict_proba(PAIRS)).max() > 1e-6


def test_company_and_batch_size_do_not_change_a_dialogue(classifier, dialogue):
    dialogues = [dialogue(f"new/d{n}", n) for n in (3, 12, 1, 5, 6)]
    together = classifier.predict_proba(dialogues)
    alone = np.concatenate([classifier.predict_proba([d]) for d in dialogues])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together, classifier.predict_proba(dialogues, batch_size=2), atol=1e-6)


def test_one_turn_and_five_hundred_turns_are_labelled_in_one_call(classifier, dialogue):
    table = classifier.predict([dialogue("new/one", 1), dialogue("new/many", 500)])
    assert len(table) == 501
    assert np.isfinite(table[["p_calm", "p_glad", "p_cross"]].to_numpy()).all()


def test_no_batch_holds_more_padded_turns_than_allowed(classifier, dialogue, monkeypatch):
    monkeypatch.setattr(loop, "MAX_BATCH_TURNS", 20)
    shapes = []
    forward = classifier.model.forward
    monkeypatch.setattr(
        classifier.model,
        "forward",
        lambda batch, **asked: shapes.append(batch.speaker.shape) or forward(batch, **asked),
    )
    classifier.predict_proba([dialogue(f"new/d{i}", n) for i, n in enumerate((3, 9, 9, 30, 4, 2))])
    assert sum(shape[0] for shape in shapes) == 6
    assert all(shape[0] * shape[1] <= 20 or shape[0] == 1 for shape in shapes)


def test_gold_labels_of_another_label_set_are_not_looked_at(classifier, dialogue):
    bare = dialogue("new/d", 4)
    labelled = Dialogue(bare.id, tuple(replace(turn, label="bliss", votes={"bliss": 2}) for turn in bare))
    np.testing.assert_array_equal(classifier.predict_proba(bare), classifier.predict_proba(labelled))


def test_predicting_leaves_training_mode_and_the_random_generator_alone(classifier):
    classifier.model.train()
    state = torch.get_rng_state()
    first = classifier.predict_proba(PAIRS)
    np.testing.assert_array_equal(first, classifier.predict_proba(PAIRS))
    assert classifier.model.training
    assert torch.equal(state, torch.get_rng_state())


def test_a_missing_modality_is_masked_and_said_so(bimodal, dialogue, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        text_only = bimodal.predict_proba(PAIRS)
    assert "has audio" in caplog.text
    both = dialogue("new/d", 3, folder=tmp_path)
    audio_only = Dialogue(both.id, tuple(replace(turn, text=None) for turn in both))
    assert np.isfinite(text_only).all()
    assert np.isfinite(bimodal.predict_proba(audio_only)).all()
    assert np.abs(bimodal.predict_proba(audio_only) - bimodal.predict_proba(both)).max() > 1e-6


def test_a_turn_without_audio_among_others_keeps_its_row(bimodal, dialogue, tmp_path, caplog):
    whole = dialogue("new/d", 4, folder=tmp_path)
    turns = list(whole)
    turns[2] = replace(turns[2], audio=None)
    with caplog.at_level(logging.WARNING):
        table = bimodal.predict(Dialogue("new/d", tuple(turns)))
    assert len(table) == 4
    assert caplog.text == ""


def test_turns_with_nothing_the_model_reads_are_an_error(classifier, dialogue, tmp_path):
    both = dialogue("new/d", 2, folder=tmp_path)
    with pytest.raises(FeatureError, match="none of the 2 turns has text"):
        classifier.predict(Dialogue(both.id, tuple(replace(turn, text=None) for turn in both)))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_saved_model_predicts_exactly_the_same_for_every_registered_model(name, text_pipeline, tmp_path):
    torch.manual_seed(1)
    labels = LabelSet("emotion", ("calm", "glad", "cross"))
    model = build_model(name, {}, {"text": text_pipeline.spec}, 3)
    before = DialogueClassifier(model, labels, {"text": text_pipeline})
    after = DialogueClassifier.from_pretrained(before.save_pretrained(tmp_path / "model"))
    np.testing.assert_array_equal(before.predict_proba(PAIRS), after.predict_proba(PAIRS))
    assert after.label_set == labels
    assert not after.model.training


def test_a_saved_bimodal_model_keeps_vocabulary_and_statistics(bimodal, dialogue, tmp_path):
    turns = dialogue("new/d", 5, folder=tmp_path)
    after = DialogueClassifier.from_pretrained(bimodal.save_pretrained(tmp_path / "model"))
    assert after.modalities == ("text", "audio")
    np.testing.assert_array_equal(bimodal.predict_proba(turns), after.predict_proba(turns))


def test_what_to_do_with_bad_audio_can_be_chosen_when_loading(bimodal, dialogue, tmp_path):
    turns = dialogue("new/d", 3, folder=tmp_path)
    turns.utterances[1].audio.path.write_bytes(b"RIFF")
    bimodal.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="new_d_1"):
        DialogueClassifier.from_pretrained(tmp_path / "model").predict(turns)
    assert len(DialogueClassifier.from_pretrained(tmp_path / "model", on_bad="mask").predict(turns)) == 3


def test_loading_leaves_the_random_generator_alone(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    state = torch.get_rng_state()
    DialogueClassifier.from_pretrained(tmp_path / "model")
    assert torch.equal(state, torch.get_rng_state())


def test_labels_and_pipelines_that_do_not_fit_the_model_are_refused(classifier):
    with pytest.raises(ConfigError, match="2 labels for a model of 3 scores") as caught:
        DialogueClassifier(classifier.model, LabelSet("x", ("a", "b")), {})
    assert "that reads ['text']" in str(caught.value)


def test_the_folder_of_a_model_of_classes_says_what_it_always_said(classifier, tmp_path):
    config = json.loads((classifier.save_pretrained(tmp_path / "model") / "config.json").read_text())
    keys = ["format_version", "library", "library_version", "model", "label_set", "inputs", "features", "files"]
    assert list(config) == keys
    assert config["label_set"] == {"name": "emotion", "labels": ["calm", "glad", "cross"]}


PREDICTED = ["predicted_valence", "predicted_arousal"]


def test_values_stand_in_the_dimensions_own_units(values, classifier):
    table = values.predict(PAIRS)
    assert list(table.columns) == ["dialogue_id", "utterance_id", "turn", "speaker", "text", *PREDICTED]
    pd.testing.assert_frame_equal(table.iloc[:, :5], classifier.predict(PAIRS).iloc[:, :5])
    model = values.model
    with torch.no_grad():  # a head that always says 0, then one that always says 1
        for score, expected in ((0.0, [3.0, 2.5]), (1.0, [3.5, 3.75])):
            model.head[-1].weight.zero_()
            model.head[-1].bias.fill_(score)
            assert values.predict(PAIRS)[PREDICTED].to_numpy().tolist() == [expected] * 3


def test_company_and_batch_size_do_not_change_a_dialogues_values(values, dialogue):
    dialogues = [dialogue(f"new/d{n}", n) for n in (3, 12, 1, 5, 6)]
    together = values.predict(dialogues)[PREDICTED].to_numpy()
    alone = np.concatenate([values.predict([d])[PREDICTED].to_numpy() for d in dialogues])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, values.predict(dialogues, batch_size=2)[PREDICTED], atol=1e-5)


def test_gold_values_of_other_dimensions_are_not_looked_at(values, dialogue):
    bare = dialogue("new/d", 4)
    annotated = Dialogue(bare.id, tuple(replace(turn, label="bliss", targets={"tension": 9.0}) for turn in bare))
    pd.testing.assert_frame_equal(values.predict(bare), values.predict(annotated), check_exact=True)


def test_a_model_of_values_has_neither_probabilities_nor_classes(values):
    with pytest.raises(ConfigError, match="predicts values of valence, arousal, not classes; use predict"):
        values.predict_proba(PAIRS)
    with pytest.raises(ConfigError, match="predicts values of valence, arousal and has no classes"):
        _ = values.label_set


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_saved_model_of_values_predicts_exactly_the_same_for_every_registered_model(
    name, text_pipeline, values, tmp_path
):
    torch.manual_seed(1)
    model = build_model(name, {}, {"text": text_pipeline.spec}, 2, values.task)
    before = DialogueClassifier(model, values.task, {"text": text_pipeline})
    after = DialogueClassifier.from_pretrained(before.save_pretrained(tmp_path / "model"))
    pd.testing.assert_frame_equal(before.predict(PAIRS), after.predict(PAIRS), check_exact=True)
    assert after.task == values.task
    assert after.predict(PAIRS)["predicted_valence"].nunique() == 3


@pytest.fixture
def precomputed(dialogue, tmp_path) -> DialogueClassifier:
    train = [dialogue(f"train/d{i}", 3, seed=i) for i in range(3)]
    rows = [{"utterance_id": turn.id, "x": float(i), "y": i % 2} for i, turn in enumerate(t for d in train for t in d)]
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    pipeline = FeaturePipeline.build("text", "precomputed", {"path": str(tmp_path / "train.csv")}, ["standardise"])
    pipeline.fit(train)
    model = build_model("bigru", {"hidden_dim": 3}, {"text": pipeline.spec}, 2)
    return DialogueClassifier(model, LabelSet("emotion", ("a", "b")), {"text": pipeline})


def test_a_model_on_precomputed_features_says_why_new_dialogues_need_a_file(precomputed, tmp_path):
    with pytest.raises(FeatureError) as caught:
        precomputed.predict(PAIRS)
    assert "text features are precomputed" in str(caught.value)
    assert str(tmp_path / "train.csv") in str(caught.value)
    assert "--features.text FILE" in str(caught.value)


def test_a_file_of_features_of_the_new_dialogues_is_read_by_utterance_id(precomputed, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("utterance_id,x,y\nnew/dia0_utt0,8,0\nnew/dia0_utt1,0,1\nnew/dia0_utt2,4,0\n")
    table = precomputed.predict(PAIRS, features={"text": new})
    assert len(table) == 3
    saved = DialogueClassifier.from_pretrained(precomputed.save_pretrained(tmp_path / "model"))
    pd.testing.assert_frame_equal(table, saved.predict(PAIRS, features={"text": new}))


def test_a_feature_file_for_an_encoder_that_computes_is_refused(classifier, tmp_path):
    with pytest.raises(ConfigError, match="computes this model's features itself"):
        classifier.predict(PAIRS, features={"text": tmp_path / "x.csv"})
    with pytest.raises(ConfigError, match="unknown modality 'txt'; did you mean 'text'"):
        classifier.predict(PAIRS, features={"txt": tmp_path / "x.csv"})


def test_an_encoder_of_ones_own_code_is_not_imported_without_leave(text_pipeline, classifier, tmp_path):
    text_pipeline.name = "somewhere.else:function"
    classifier.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="trust_code=True"):
        DialogueClassifier.from_pretrained(tmp_path / "model")


def test_the_hub_gets_exactly_the_model_folder(classifier, monkeypatch):
    calls = {}

    class Hub:
        def create_repo(self, repo_id, private, exist_ok):
            calls["repo"] = (repo_id, private, exist_ok)

        def upload_folder(self, repo_id, folder_path):
            calls["files"] = sorted(path.name for path in folder_path.iterdir())
            return f"commit of {repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert classifier.push_to_hub("me/mine", card="# Mine") == "commit of me/mine"
    assert calls["repo"] == ("me/mine", True, True)
    assert calls["files"] == ["README.md", "config.json", "model.safetensors", "transforms.safetensors"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_said_so(classifier, tmp_path):
    folder = classifier.save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="torch sees no GPU; use cpu or auto"):
        DialogueClassifier.from_pretrained(folder, device="cuda")
