import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import read_model_folder, with_checksum
from dialogue_ser.inference.rebuild import model_options, rebuild_model, rebuild_pipeline, rebuild_task
from dialogue_ser.inference.tensor_file import TensorFile
from dialogue_ser.models import build_model
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.tasks.classification import Classification


@pytest.fixture
def saved(classifier, tmp_path):
    return read_model_folder(classifier.save_pretrained(tmp_path / "model"))


def test_options_build_the_same_model_again(classifier):
    options = model_options(classifier.model)
    assert build_model(classifier.model.name, options, classifier.model.inputs, 3).config == classifier.model.config


def test_a_model_without_its_config_is_refused(classifier, tmp_path):
    del classifier.model.config
    with pytest.raises(CheckpointError, match=r"set self\.config in its __init__"):
        classifier.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_missing_extra_and_misshapen_weights_are_all_named(saved):
    weights = dict(saved.weights)
    gone, bent, *_ = sorted(weights)
    del weights[gone]
    weights[bent] = torch.zeros(99)
    weights["stranger"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        rebuild_model(replace(saved, weights=weights))
    text = str(caught.value)
    assert f"weight {gone!r} is missing" in text
    assert "'stranger' does not belong to the model" in text
    assert f"{bent!r} has shape (99,)" in text


@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_weights_of_another_kind_are_refused_and_not_rounded(saved, kind):
    weights = {name: value.to(kind) for name, value in saved.weights.items()}
    with pytest.raises(CheckpointError, match=rf"holds {kind}, the model needs torch.float32"):
        rebuild_model(replace(saved, weights=weights))


def test_weights_of_half_precision_are_loaded(saved):
    halves = {name: value.half() for name, value in saved.weights.items()}
    system = rebuild_model(replace(saved, weights=halves))
    assert all(torch.equal(value, halves[name].float()) for name, value in system.state_dict().items())


def test_a_model_this_library_does_not_have_is_named(saved):
    config = {**saved.config, "model": {"name": "emotion-rn", "options": {}}}
    with pytest.raises(ConfigError, match="did you mean 'emotion-rnn'"):
        rebuild_model(replace(saved, config=config))


def test_a_config_that_lacks_details_is_a_clear_error(classifier, tmp_path):
    folder = classifier.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["model"]["options"]
    (folder / "config.json").write_text(json.dumps(with_checksum(config)))
    with pytest.raises(CheckpointError, match=r"config\.json: model\.options: is missing"):
        DialogueClassifier.from_pretrained(folder)


def test_an_ensemble_comes_back_with_every_member(classifier, dialogue, tmp_path):
    other = build_model(classifier.model.name, model_options(classifier.model), classifier.model.inputs, 3)
    both = DialogueClassifier(Ensemble([classifier.model, other.eval()]), classifier.label_set, classifier.pipelines)
    saved = read_model_folder(both.save_pretrained(tmp_path / "both"))
    again = rebuild_model(saved)
    assert isinstance(again, Ensemble)
    for name, value in again.state_dict().items():
        assert torch.equal(value, both.model.state_dict()[name]), name
    turns = [dialogue("new/d", 3)]
    loaded = DialogueClassifier.from_pretrained(tmp_path / "both")
    assert loaded.predict_proba(turns).tobytes() == both.predict_proba(turns).tobytes()
    assert loaded.predict_proba(turns).tobytes() != classifier.predict_proba(turns).tobytes()


@pytest.mark.parametrize("n_members", [0, -1, 10**9, "two", 2.5, None])
def test_a_number_of_members_that_cannot_be_is_refused(saved, n_members):
    config = {**saved.config, "model": {**saved.config["model"], "members": n_members}}
    with pytest.raises(CheckpointError, match=rf"says {n_members!r} members"):
        rebuild_model(replace(saved, config=config))


def test_label_order_is_kept(saved, classifier):
    assert rebuild_task(saved) == Classification(classifier.label_set)


def test_dimensions_centres_and_scales_are_kept(values, tmp_path):
    saved = read_model_folder(values.save_pretrained(tmp_path / "model"))
    assert rebuild_task(saved) == values.task
    assert rebuild_model(saved).task == values.task


def test_a_task_that_this_version_does_not_know_is_refused(values, tmp_path):
    saved = read_model_folder(values.save_pretrained(tmp_path / "model"))
    config = {**saved.config, "task": {"kind": "ranking"}}
    with pytest.raises(ConfigError, match="task 'ranking': is not known here; load the model with the version"):
        rebuild_task(replace(saved, config=config))


def test_an_ensemble_of_values_comes_back_with_its_mean(values, dialogue, tmp_path):
    torch.manual_seed(8)
    other = build_model(values.model.name, model_options(values.model), values.model.inputs, 2, values.task).eval()
    alone = [DialogueClassifier(one, values.task, values.pipelines) for one in (values.model, other)]
    both = DialogueClassifier(Ensemble([values.model, other]), values.task, values.pipelines)
    loaded = DialogueClassifier.from_pretrained(both.save_pretrained(tmp_path / "both"))
    turns, columns = [dialogue("new/d", 3)], ["predicted_valence", "predicted_arousal"]
    found = loaded.predict(turns)[columns].to_numpy()
    members = [one.predict(turns)[columns].to_numpy() for one in alone]
    assert not np.allclose(*members)
    np.testing.assert_allclose(found, np.mean(members, axis=0), atol=1e-6)
    assert found.tobytes() == both.predict(turns)[columns].to_numpy().tobytes()


def test_a_pipeline_gives_the_same_rows_after_loading(saved, classifier, dialogue):
    turns = [dialogue("new/d", 3)]
    before, after = classifier.pipelines["text"], rebuild_pipeline(saved, "text", None, trust_code=False)
    for key, row in before.table(turns).rows.items():
        assert (after.table(turns).rows[key] == row).all()


def test_weights_that_are_not_finite_are_named(saved):
    name, value = next((name, value) for name, value in saved.weights.items() if value.is_floating_point())
    broken = replace(saved, weights={**saved.weights, name: torch.full_like(value, float("nan"))})
    with pytest.raises(CheckpointError, match=f"weight '{name}' holds NaN or infinite values"):
        rebuild_model(broken)


def test_far_too_many_weights_are_refused_before_they_are_made(saved, classifier, monkeypatch):
    many = {**classifier.model.state_dict(), **{f"p{i}": torch.zeros(1) for i in range(5000)}}
    content = safetensors.torch.save(many)
    monkeypatch.setattr(safetensors.torch, "load", lambda _: pytest.fail("made the tensors"))
    crowded = replace(saved, weights=TensorFile(content, "here"))
    with pytest.raises(CheckpointError, match=rf"has {len(many):,} weights, but the model in config\.json has"):
        rebuild_model(crowded)
    config = {**saved.config, "model": {**saved.config["model"], "members": 1000}}
    with pytest.raises(CheckpointError, match="they do not belong to one model"):
        rebuild_model(replace(crowded, config=config))
