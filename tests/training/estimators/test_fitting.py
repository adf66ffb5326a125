import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.estimators.fitting import EstimatorSettings, fit_estimator, predict_stored

LABELS = LabelSet("emotion", ("calm", "glad", "cross"))


@register_encoder("test-numbers", modality="text")
def numbers(texts):
    return np.array([[float(part) for part in text.split()] for text in texts])


@register_encoder("test-wide-numbers", modality="text")
def wide_numbers(texts):
    basis = np.random.default_rng(5).normal(size=(3, 120))
    return np.array([[float(part) for part in text.split()] for text in texts]) @ basis


def pipelines(encoder="test-numbers", transforms=("standardise",)):
    return lambda: {"text": FeaturePipeline.build("text", encoder, transforms=transforms)}


def talk(split, n=60, seed=0, labels=LABELS.labels, spread=0.8):
    """Return single utterances of three numbers, which tell the class but have noise."""
    rng = np.random.default_rng(seed)
    dialogues = []
    for i in range(n):
        label = str(rng.choice(labels))
        values = 4 * np.eye(3)[LABELS.index(label)] + rng.normal(0, spread, 3) + 5
        text = " ".join(f"{value:.4f}" for value in values)
        dialogues.append(
            Dialogue(f"{split}/d{i}", (Utterance(id=f"{split}/d{i}", speaker="Ann", text=text, label=label),))
        )
    return dialogues


def matrix(dialogues, encoder=numbers):
    return encoder([d.utterances[0].text for d in dialogues]), [d.utterances[0].label for d in dialogues]


def predicted(classifier, dialogues):
    return list(classifier.predict(dialogues)["predicted"])


def best(classifier, dialogues):
    return np.mean([a == b for a, b in zip(predicted(classifier, dialogues), matrix(dialogues)[1], strict=True)])


@pytest.mark.parametrize("encoder", [numbers, wide_numbers])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_a_linear_svm_decides_as_scikit_learns_on_the_same_rows(encoder, weight):
    train, dev, test = talk("train", spread=2.5), talk("dev", 30, 1, spread=2.5), talk("test", 200, 2, spread=2.5)
    name = "test-numbers" if encoder is numbers else "test-wide-numbers"
    settings = EstimatorSettings(inverse_regularisation=(0.01,), class_weight=weight, refit="train")
    fitted = fit_estimator(train, dev, LABELS, pipelines(name), settings)
    (x, y), (x_test, _) = matrix(train, encoder), matrix(test, encoder)
    reference = LinearSVC(C=0.01, class_weight=None if weight == "none" else weight, max_iter=100000, tol=1e-8)
    reference.fit((x - x.mean(0)) / x.std(0), y)
    expected = reference.predict((x_test - x.mean(0)) / x.std(0))
    assert np.mean(expected == predicted(fitted.classifier, test)) > 0.99
    assert len(set(expected)) == 3


def test_the_probe_gives_scikit_learns_probabilities():
    train, test = talk("train"), talk("test", 50, 2)
    settings = EstimatorSettings(name="logistic", inverse_regularisation=(0.1,), class_weight="none", refit="train")
    fitted = fit_estimator(train, talk("dev", 30, 1), LABELS, pipelines(), settings)
    (x, y), (x_test, _) = matrix(train), matrix(test)
    reference = LogisticRegression(C=0.1, max_iter=10000, tol=1e-8).fit((x - x.mean(0)) / x.std(0), y)
    order = [list(reference.classes_).index(label) for label in LABELS]
    expected = reference.predict_proba((x_test - x.mean(0)) / x.std(0))[:, order]
    np.testing.assert_allclose(fitted.classifier.predict_proba(test), expected, atol=1e-3)


@pytest.mark.parametrize("name", ["linear-svm", "logistic"])
def test_two_classes_are_separated_and_a_class_that_train_lacks_is_never_predicted(name):
    train, dev = talk("train", labels=("glad", "cross")), talk("dev", 30, 1, labels=("glad", "cross"))
    fitted = fit_estimator(train, dev, LABELS, pipelines(), EstimatorSettings(name=name))
    test = talk("test", 50, 2, labels=("glad", "cross"))
    assert best(fitted.classifier, test) > 0.95
    assert fitted.classifier.predict(test)["p_calm"].max() < 1e-6


def test_dev_chooses_c_by_unweighted_recall_and_the_smallest_wins_a_tie():
    train, dev = talk("train", spread=2.5), talk("dev", 40, 1, spread=2.5)
    settings = EstimatorSettings(inverse_regularisation=(10.0, 1e-7, 1.0, 0.1))
    fitted = fit_estimator(train, dev, LABELS, pipelines(), settings)
    top = max(fitted.dev_scores.values())
    assert fitted.inverse_regularisation == min(c for c, value in fitted.dev_scores.items() if value == top)
    assert list(fitted.dev_scores) == [10.0, 1e-7, 1.0, 0.1]
    for c, value in fitted.dev_scores.items():
        alone = fit_estimator(train, dev, LABELS, pipelines(), EstimatorSettings(inverse_regularisation=(c,)))
        assert alone.dev_scores[c] == value


def test_refitting_learns_from_dev_too_and_the_model_fitted_on_train_does_not():
    train, dev = talk("train", 12, spread=2.5), talk("dev", 60, 1, spread=2.5)
    kept = fit_estimator(train, dev, LABELS, pipelines(), EstimatorSettings(refit="train"))
    again = fit_estimator(train, dev, LABELS, pipelines(), EstimatorSettings(refit="train+dev"))
    assert kept.fitted_on_train is kept.classifier
    weights = [
        one.model.state_dict()["head.weight"] for one in (kept.classifier, again.fitted_on_train, again.classifier)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[1], weights[2])
    means = [one.pipelines["text"].transforms[0].arrays["mean"] for one in (again.fitted_on_train, again.classifier)]
    np.testing.assert_allclose(means[1], matrix([*train, *dev])[0].mean(0), rtol=1e-5)
    assert not np.allclose(*means)


def test_fits_repeat_exactly():
    train, dev = talk("train", spread=2.5), talk("dev", 40, 1, spread=2.5)
    first, second = (fit_estimator(train, dev, LABELS, pipelines()).classifier.model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_scores_of_an_svm_become_probabilities_that_fit_dev():
    train, dev = talk("train", 200, spread=2.5), talk("dev", 400, 1, spread=2.5)
    settings = EstimatorSettings(inverse_regularisation=(1e-4,), refit="train")
    p_NC = fit_estimator(train, dev, LABELS, pipelines(), settings).classifier.predict_proba(dev)
    accuracy = np.mean([LABELS.labels[k] == d.utterances[0].label for k, d in zip(p_NC.argmax(1), dev, strict=True)])
    assert abs(p_NC.max(1).mean() - accuracy) < 0.05


def test_it_is_saved_without_pickle_and_predicts_the_same(tmp_path):
    fitted = fit_estimator(talk("train"), talk("dev", 30, 1), LABELS, pipelines())
    folder = fitted.classifier.save_pretrained(tmp_path / "model")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert json.loads((folder / "config.json").read_text())["model"]["name"] == "utterance"
    again = DialogueClassifier.from_pretrained(folder, device="cpu")
    test = talk("test", 40, 2)
    np.testing.assert_array_equal(again.predict_proba(test), fitted.classifier.predict_proba(test))
    assert best(again, test) > 0.95


def test_predictions_from_the_store_are_those_of_the_classifier(tmp_path):
    store = FeatureStore(tmp_path)
    fitted = fit_estimator(talk("train"), talk("dev", 30, 1), LABELS, pipelines(), store=store)
    test = talk("test", 1100, 2)  # more than one batch
    found = predict_stored(fitted.classifier, test, store)
    np.testing.assert_allclose(found, fitted.classifier.predict_proba(test), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1)


def test_data_without_anything_to_learn_is_refused():
    train, dev = talk("train"), talk("dev", 30, 1)
    bare = [Dialogue(d.id, tuple(Utterance(id=t.id, speaker="Ann", text=t.text) for t in d)) for d in train]
    with pytest.raises(CorpusError, match="train: no turn is labelled"):
        fit_estimator(bare, dev, LABELS, pipelines())
    with pytest.raises(CorpusError, match="one class only"):
        fit_estimator(talk("train", labels=("glad",)), dev, LABELS, pipelines())
    with pytest.raises(ConfigError, match="positive candidates for C"):
        fit_estimator(train, dev, LABELS, pipelines(), EstimatorSettings(inverse_regularisation=()))
    with pytest.raises(ConfigError, match=r"features\.text: textcnn gives tokens, which an estimator cannot read"):
        fit_estimator(train, dev, LABELS, pipelines("textcnn", ()))


VALUES = Regression(("valence", "arousal"))


def valued(split, n=60, seed=0, noise=0.5, lacks=0.0):
    """Return single utterances of three numbers; both values follow from them and are far from 0; some are missing."""
    rng = np.random.default_rng(seed)
    dialogues = []
    for i in range(n):
        x = rng.normal(5, 1, 3)
        values = {"valence": 200 + 10 * x[0] - 4 * x[1], "arousal": x[2] - x[0]}
        values = {name: float(value + rng.normal(0, noise)) for name, value in values.items() if rng.random() >= lacks}
        text = " ".join(f"{value:.4f}" for value in x)
        turn = Utterance(id=f"{split}/d{i}", speaker="Ann", text=text, targets=values)
        dialogues.append(Dialogue(f"{split}/d{i}", (turn,)))
    return dialogues


def valued_matrix(dialogues):
    turns = [d.utterances[0] for d in dialogues]
    return numbers([t.text for t in turns]), np.array([[t.targets.get(d, np.nan) for d in VALUES.names] for t in turns])


def said(classifier, dialogues):
    return classifier.predict(dialogues)[["predicted_valence", "predicted_arousal"]].to_numpy()


def test_ridge_predicts_the_same_as_scikit_learns_on_standardised_values():
    """Values are fitted in units of their standard deviation, so the same alpha works for every dimension."""
    train, test = valued("train", lacks=0.2), valued("test", 50, 2)
    settings = EstimatorSettings(name="ridge", inverse_regularisation=(0.1,), refit="train")
    fitted = fit_estimator(train, valued("dev", 30, 1), VALUES, pipelines(), settings)
    (x, y), (x_test, _) = valued_matrix(train), valued_matrix(test)
    z, z_test = (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0)
    for s in range(2):
        known = np.isfinite(y[:, s])
        centre, scale = y[known, s].mean(), y[known, s].std()
        reference = Ridge(alpha=10).fit(z[known], (y[known, s] - centre) / scale)
        expected = centre + scale * reference.predict(z_test)
        np.testing.assert_allclose(said(fitted.classifier, test)[:, s], expected, rtol=1e-5, atol=1e-4)


def test_dev_chooses_c_of_values_by_ccc_and_ridge_is_the_default_estimator():
    train, dev = valued("train", 20, noise=3.0), valued("dev", 40, 1, noise=3.0)
    fitted = fit_estimator(train, dev, VALUES, pipelines())
    assert fitted.metric == "ccc"
    assert list(fitted.dev_scores) == list(EstimatorSettings().inverse_regularisation)
    top = max(fitted.dev_scores.values())
    assert fitted.inverse_regularisation == min(c for c, value in fitted.dev_scores.items() if value == top)
    gold, predicted = valued_matrix(dev)[1], said(fitted.fitted_on_train, dev)
    ccc = [
        2 * np.cov(g, p, bias=True)[0, 1] / (g.var() + p.var() + (g.mean() - p.mean()) ** 2)
        for g, p in zip(gold.T, predicted.T, strict=True)
    ]
    assert top == pytest.approx(np.mean(ccc), abs=1e-5)


def test_a_ridge_is_saved_without_pickle_and_predicts_the_same(tmp_path):
    fitted = fit_estimator(valued("train"), valued("dev", 30, 1), VALUES, pipelines())
    folder = fitted.classifier.save_pretrained(tmp_path / "model")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    again, test = DialogueClassifier.from_pretrained(folder, device="cpu"), valued("test", 40, 2)
    np.testing.assert_array_equal(said(again, test), said(fitted.classifier, test))
    assert np.abs(said(again, test) - valued_matrix(test)[1]).mean() < 1.0
    np.testing.assert_allclose(predict_stored(again, test), said(again, test), atol=1e-4)


def test_an_estimator_of_the_other_task_is_refused():
    with pytest.raises(ConfigError, match="linear-svm does not learn a regression; use ridge"):
        fit_estimator(valued("train"), valued("dev"), VALUES, pipelines(), EstimatorSettings())
    with pytest.raises(ConfigError, match="ridge does not learn a classification; use linear-svm or logistic"):
        fit_estimator(talk("train"), talk("dev"), LABELS, pipelines(), EstimatorSettings(name="ridge"))
    with pytest.raises(CorpusError, match="train: no turn is labelled"):
        fit_estimator(talk("train"), valued("dev"), VALUES, pipelines())
