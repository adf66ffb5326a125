"""Whole runs that learn values of dimensions, on a tiny corpus."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, DialogueSerError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.models import MODELS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.run import Run, train

PREDICTED, GOLD = ["predicted_valence", "predicted_arousal"], ["gold_valence", "gold_arousal"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run for all tests of this file; no test changes it."""
    folder = tmp_path_factory.mktemp("values")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        import tiny

        yield train(tiny.value_config(**{"training.epochs": 6}), folder / "run")


def epochs(run: Run) -> list[dict]:
    return [row for row in RunFiles(run.folder).history if row["kind"] == "epoch"]


def predictions(run: Run, split: str | None = None) -> pd.DataFrame:
    frame = pd.read_parquet(run.folder / "predictions.parquet")
    return frame if split is None else frame[frame["split"] == split]


def ccc(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Return the CCC, mean over the dimensions, by its definition."""
    found = []
    for g, p in zip(gold.T, predicted.T, strict=True):
        g, p = g[np.isfinite(g)], p[np.isfinite(g)]
        shared = np.mean((g - g.mean()) * (p - p.mean()))
        found.append(2 * shared / (g.var() + p.var() + (g.mean() - p.mean()) ** 2))
    return float(np.mean(found))


def test_every_turn_has_its_values_and_what_was_predicted(finished, tiny):
    frame, corpus = predictions(finished), tiny.read_values()
    turns = [turn for dialogues in corpus.splits.values() for turn in utterances(dialogues)]
    assert frame["utterance_id"].tolist() == [turn.id for turn in turns]
    assert list(frame.columns[6:]) == [*GOLD, *PREDICTED]
    expected = np.array([[turn.targets.get(name, np.nan) for name in tiny.DIMENSIONS] for turn in turns])
    np.testing.assert_array_equal(frame[GOLD].to_numpy(), expected)
    assert 0 < np.isnan(expected).any(1).sum() < len(turns)
    assert np.isfinite(frame[PREDICTED].to_numpy()).all()


def test_scores_are_those_of_the_table_and_the_best_ccc_on_dev_chose(finished):
    for split in ("train", "dev", "test"):
        frame = predictions(finished, split)
        gold, predicted = frame[GOLD].to_numpy(), frame[PREDICTED].to_numpy()
        assert set(finished.scores[split]) == {"ccc", "pearson_r", "mae"}
        assert finished.scores[split]["ccc"] == pytest.approx(ccc(gold, predicted), abs=1e-9)
        error = np.nanmean(np.abs(gold - predicted), axis=0).mean()
        assert finished.scores[split]["mae"] == pytest.approx(error, abs=1e-9)
    dev = [row["dev"]["ccc"] for row in epochs(finished)]
    assert finished.best_epoch == 1 + int(np.argmax(dev))
    assert finished.scores["dev"]["ccc"] == max(dev) > 0.5, "words give the values away"


def test_the_written_configuration_says_what_the_task_decides(finished):
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert (config["task"], config["loss"]["kind"], config["training"]["select"]) == ("regression", "ccc", "ccc")


def test_centres_and_scales_are_those_of_train_and_saved_with_the_model(finished, tiny):
    turns = [turn.targets for turn in utterances(tiny.read_values().split("train")) if turn.targets]
    values = [np.array([one[name] for one in turns if name in one]) for name in tiny.DIMENSIONS]
    config = json.loads((finished.folder / "model/config.json").read_text())
    assert "label_set" not in config
    assert (config["task"]["kind"], config["task"]["dimensions"]) == ("regression", list(tiny.DIMENSIONS))
    np.testing.assert_allclose(config["task"]["centres"], [one.mean() for one in values], rtol=1e-12)
    np.testing.assert_allclose(config["task"]["scales"], [one.std() for one in values], rtol=1e-12)
    task = finished.classifier(trust_code=True).task
    assert task == load_data(finished.config).task
    assert isinstance(task, Regression)


def test_the_saved_model_predicts_the_same_and_survives_being_saved_again(finished, tiny, tmp_path):
    turns, classifier = tiny.read_values().split("test"), finished.classifier(trust_code=True)
    found = classifier.predict(turns)
    np.testing.assert_allclose(found[PREDICTED], predictions(finished, "test")[PREDICTED], atol=1e-5)
    again = DialogueClassifier.from_pretrained(classifier.save_pretrained(tmp_path / "copy"), trust_code=True)
    pd.testing.assert_frame_equal(again.predict(turns), found, check_exact=True)
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (finished.folder / "model" / name).read_bytes()


def test_a_killed_run_resumes_bitwise_equal(finished, tiny, script, tmp_path):
    settings = ["--values", "--set", "training.epochs=6", "training.checkpoint_every_steps=1"]
    killed = script("tiny.py", tmp_path / "killed", "--kill-at", 12, *settings)
    assert killed.returncode == -9, killed.stderr
    config = tiny.value_config(**{"training.epochs": 6, "training.checkpoint_every_steps": 1})
    resumed = train(config, tmp_path / "killed", resume=True)
    steps = [
        [{k: row[k] for k in ("step", "loss", "grad_norm")} for row in RunFiles(run.folder).history if "loss" in row]
        for run in (finished, resumed)
    ]
    assert steps[0] == steps[1]
    for name in ("predictions.parquet", "model/model.safetensors"):
        assert (resumed.folder / name).read_bytes() == (finished.folder / name).read_bytes()
    assert resumed.scores == finished.scores


def test_resuming_with_other_values_is_refused(finished, tiny, tmp_path):
    config = tiny.value_config(**{"training.epochs": 1})
    run = train(config, tmp_path / "run")
    metrics = run.folder / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))  # as if killed before the summary
    with pytest.raises(ConfigError, match=r"corpus \(fingerprint\)"):
        train(config, run.folder, resume=True, corpus=tiny.read_values(revalue="train"))


def test_an_ensemble_gives_the_members_mean_values(tiny, tmp_path):
    run = train(tiny.value_config(**{"training.ensemble": 2, "training.epochs": 2}), tmp_path / "run")
    members = [pd.read_parquet(run.folder / f"members/{k}/predictions.parquet") for k in (1, 2)]
    assert not np.allclose(members[0][PREDICTED], members[1][PREDICTED])
    expected = (members[0][PREDICTED] + members[1][PREDICTED]) / 2
    np.testing.assert_allclose(predictions(run)[PREDICTED], expected, rtol=0, atol=1e-12)
    found = run.classifier(trust_code=True).predict(tiny.read_values().split("test"))
    np.testing.assert_allclose(found[PREDICTED], predictions(run, "test")[PREDICTED], atol=1e-5)
    assert run.scores["test"]["ccc"] == pytest.approx(
        ccc(predictions(run, "test")[GOLD].to_numpy(), predictions(run, "test")[PREDICTED].to_numpy()), abs=1e-9
    )


def test_bf16_autocast_learns_the_same_to_its_precision(tiny, tmp_path):
    plain, half = (
        train(tiny.value_config(**{"training.epochs": 2, "training.precision": p}), tmp_path / p)
        for p in ("no", "bf16")
    )
    losses = [RunFiles(run.folder).history[0]["loss"] for run in (plain, half)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    assert half.scores["dev"]["ccc"] == pytest.approx(plain.scores["dev"]["ccc"], abs=0.1)


def test_the_lowest_error_chooses_and_patience_counts_from_it(tiny, tmp_path):
    settings = {
        "training.select": "mae",
        "training.patience": 3,
        "training.epochs": 30,
        "optimizer.learning_rate": 0.05,
    }
    run = train(tiny.value_config(**settings), tmp_path / "run")
    errors = [row["dev"]["mae"] for row in epochs(run)]
    assert len(errors) < 30
    assert run.best_epoch == 1 + int(np.argmin(errors)) == len(errors) - 3 > 1
    assert run.scores["dev"]["mae"] == min(errors)


def test_a_metric_of_the_user_chooses_in_its_direction(tiny, tmp_path):
    settings = {"training.select": "tiny:worst_dimension", "metrics": ["mse"], "training.epochs": 4}
    run = train(tiny.value_config(**settings), tmp_path / "run")
    found = [row["dev"] for row in epochs(run)]
    assert set(found[0]) == {"ccc", "pearson_r", "mae", "mse", "worst_dimension"}
    errors = [row["worst_dimension"] for row in found]
    assert run.best_epoch == 1 + int(np.argmin(errors))
    assert RunFiles(run.folder).summary["select"] == "worst_dimension"
    frame = predictions(run, "dev").dropna(subset=GOLD)
    expected = tiny.worst_dimension(frame[GOLD].to_numpy(), frame[PREDICTED].to_numpy())
    assert run.scores["dev"]["worst_dimension"] == pytest.approx(expected) == pytest.approx(min(errors))


@pytest.mark.parametrize("model", MODELS)
def test_every_registered_model_takes_a_step_and_its_values_are_saved(model, tiny, tmp_path):
    settings = {"model": {"name": model}, "training.epochs": 1, "training.batch_size": 19}
    run = train(tiny.value_config(**settings), tmp_path / "run")
    [step] = [row for row in RunFiles(run.folder).history if row["kind"] == "step"]
    assert 0 < step["loss"] < 2
    assert step["grad_norm"] > 0
    found = run.classifier(trust_code=True).predict(tiny.read_values().split("test"))
    np.testing.assert_allclose(found[PREDICTED], predictions(run, "test")[PREDICTED], atol=1e-5)
    assert found[PREDICTED].nunique().min() > 1


@pytest.mark.parametrize("model", ["late-fusion", "emotion-rnn"])
def test_two_modalities_learn_values_together(model, tiny, tmp_path):
    words = {"encoder": "textcnn", "options": {"embedding_dim": 6, "n_filters": 4, "out_dim": 5, "word_dropout": 0.0}}
    features = {"text": words, "audio": {"encoder": "tiny:letters", "transforms": ["standardise"]}}
    settings = {"features": features, "model": {"name": model}, "training.epochs": 5}
    run = train(tiny.value_config(**settings), tmp_path / "run")
    losses = [row["train_loss"] for row in epochs(run)]
    assert losses[-1] < losses[0]
    found = run.classifier(trust_code=True).predict(tiny.read_values().split("test"))
    np.testing.assert_allclose(found[PREDICTED], predictions(run, "test")[PREDICTED], atol=1e-5)


def test_only_the_requested_dimensions_are_learnt(tiny, tmp_path):
    run = train(tiny.value_config(**{"data.targets": ["arousal"], "training.epochs": 1}), tmp_path / "run")
    assert list(predictions(run).columns[6:]) == ["gold_arousal", "predicted_arousal"]
    with pytest.raises(ConfigError, match="unknown dimension 'arosal'; did you mean 'arousal'"):
        train(tiny.value_config(**{"data.targets": ["arosal"]}), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("split", ["test", "dev"])
def test_values_of_test_and_dev_never_reach_the_weights(tiny, tmp_path, split):
    settings = {"training.epochs": 2, "training.keep": "last"}
    same, other = (
        train(tiny.value_config(**settings, **extra), tmp_path / name)
        for name, extra in (("a", {}), ("b", {"data.options": {"revalue": split}}))
    )
    weights = [load_file(run.folder / "model/model.safetensors") for run in (same, other)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert same.scores[split] != other.scores[split]


def test_a_corpus_of_the_other_kind_is_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(CorpusError, match=r"has classes only .*--task classification"):
        train(tiny.value_config(**{"data.reader": "tiny:read_tiny"}), tmp_path / "run")
    with pytest.raises(CorpusError, match=r"has no classes, only valence, arousal; .*--task regression"):
        train(tiny.tiny_config(**{"data.reader": "tiny:read_values"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.select": "weighted_f1"}, "weighted_f1 is no metric of regression; use ccc, pearson_r, mae, mse"),
        ({"metrics": ["uar"]}, "metric 'uar': is one of classification, but the task is regression"),
        ({"training.balance": "downsample"}, "downsample works with classes only; set it to none for regression"),
        ({"data.leave_out": ["calm"]}, r"data\.leave_out: names classes, which a regression does not have"),
    ],
)
def test_settings_for_classes_are_refused_in_a_regression(tiny, tmp_path, settings, message):
    with pytest.raises(DialogueSerError, match=message):
        train(tiny.value_config(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
