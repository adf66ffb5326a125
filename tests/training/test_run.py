import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, TrainingError
from dialogue_ser.metrics.scores import score
from dialogue_ser.models import resolve_options
from dialogue_ser.runs.lock import run_lock
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training import run as run_module
from dialogue_ser.training.run import Run, train

SMALL = {"training.epochs": 2, "training.ema_decay": 0.0}


@pytest.fixture
def finished(tiny, tmp_path: Path) -> Run:
    return train(tiny.tiny_config(**SMALL), tmp_path / "run")


def rows(run: Run, kind: str) -> list[dict]:
    return [row for row in RunFiles(run.folder).history if row["kind"] == kind]


def test_a_run_directory_is_self_contained(finished, tiny):
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "metrics.jsonl", "predictions.parquet", "checkpoints", "model", ".lock"
    }  # fmt: skip
    assert yaml.safe_load((finished.folder / "config.yaml").read_text())["optimizer"]["clip_norm"] == 5.0
    model = yaml.safe_load((finished.folder / "config.yaml").read_text())["model"]
    assert model["options"] == resolve_options(model["name"], finished.config.model.options)
    assert len(model["options"]) > 3, "options nobody gave stand there with their defaults"
    assert [row["epoch"] for row in rows(finished, "epoch")] == [1, 2]
    assert [row["step"] for row in rows(finished, "step")] == list(range(1, 11))
    environment = json.loads((finished.folder / "environment.json").read_text())
    assert environment["corpus_fingerprint"] == tiny.read_tiny().fingerprint()
    assert environment["feature_fingerprints"]["text"]["encoder"]["function"] == "tiny:letters"
    assert not [path for path in finished.folder.rglob("*") if path.suffix in {".pkl", ".bin", ".pt"}]


def test_predictions_hold_every_turn_of_every_split_once_and_give_the_summary_scores(finished, tiny):
    frame = pd.read_parquet(finished.folder / "predictions.parquet")
    corpus = tiny.read_tiny()
    ids = [turn.id for dialogues in corpus.splits.values() for turn in utterances(dialogues)]
    assert frame["utterance_id"].tolist() == ids
    probabilities = frame[[f"p_{label}" for label in tiny.LABELS]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert [tiny.LABELS[i] for i in probabilities.argmax(axis=1)] == frame["predicted"].tolist()
    summary = RunFiles(finished.folder).summary
    for split, turns in frame.groupby("split"):
        again = score(turns["gold"], turns["predicted"], tiny.LABELS)
        assert summary["scores"][split]["weighted_f1"] == again.weighted_f1
        assert finished.scores[split]["uar"] == again.uar
    n_without_text = sum(turn.text is None for d in corpus.splits.values() for turn in utterances(d))
    assert summary["masked"] == {"text": n_without_text}
    assert n_without_text > 0
    assert summary["peak_memory_bytes"] > 10_000_000


def test_the_weights_that_dev_chose_are_the_ones_that_predict(finished, tiny):
    dev = [row["dev"] for row in rows(finished, "epoch")]
    assert finished.best_epoch == 1 + int(np.argmax([scores["weighted_f1"] for scores in dev]))
    assert finished.scores["dev"] == dev[finished.best_epoch - 1]
    classifier = finished.classifier(trust_code=True)
    frame = pd.read_parquet(finished.folder / "predictions.parquet").query("split == 'test'")
    again = classifier.predict_proba(tiny.read_tiny().split("test"))
    np.testing.assert_allclose(again, frame[[f"p_{label}" for label in tiny.LABELS]].to_numpy(), atol=1e-6)


def test_two_runs_with_one_seed_agree_in_every_byte_and_another_seed_does_not(finished, tiny, tmp_path):
    again = train(tiny.tiny_config(**SMALL), tmp_path / "again")
    other = train(tiny.tiny_config(**SMALL, seed=2), tmp_path / "other")
    first, second, third = (pd.read_parquet(run.folder / "predictions.parquet") for run in (finished, again, other))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert rows(finished, "step") == rows(again, "step")
    assert not first["p_calm"].equals(third["p_calm"])


def test_attention_is_saved_per_dialogue_with_the_turns_it_belongs_to(tiny, tmp_path):
    options = {"model.name": "emotion-rnn", "model.options": {}, "training.epochs": 1}
    run = train(tiny.tiny_config(**options), tmp_path / "run")
    tensors = load_file(run.folder / "attention.safetensors")
    turns = json.loads((run.folder / "attention.json").read_text())["turns"]
    dialogues = [dialogue for split in tiny.read_tiny().splits.values() for dialogue in split]
    assert {key.rsplit("/", 1)[0] for key in tensors} == {dialogue.id for dialogue in dialogues} == set(turns)
    for key, weights in tensors.items():
        assert weights.shape == (len(turns[key.rsplit("/", 1)[0]]),) * 2


def test_a_directory_with_a_run_is_never_overwritten(finished, tiny):
    before = (finished.folder / "metrics.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"finished run.*--resume.*--out"):
        train(tiny.tiny_config(**SMALL), finished.folder)
    assert (finished.folder / "metrics.jsonl").read_bytes() == before


def test_resuming_a_finished_run_only_loads_it(finished, tiny):
    before = (finished.folder / "metrics.jsonl").read_bytes()
    assert train(tiny.tiny_config(**SMALL), finished.folder, resume=True).scores == finished.scores
    assert (finished.folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("gone", ["predictions.parquet", "model"])
def test_resuming_a_finished_run_makes_again_what_was_deleted(finished, tiny, gone):
    before = (finished.folder / "predictions.parquet").read_bytes()
    place = finished.folder / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    resumed = train(tiny.tiny_config(**SMALL), finished.folder, resume=True)
    assert resumed.scores == finished.scores
    assert (finished.folder / "predictions.parquet").read_bytes() == before
    assert (finished.folder / "model" / "config.json").is_file()
    assert len(rows(resumed, "summary")) == 1
    assert [row["epoch"] for row in rows(resumed, "epoch")] == [1, 2], "no epoch is learnt twice"


def test_resume_under_other_settings_lists_every_difference(finished, tiny):
    other = tiny.tiny_config(**SMALL, **{"optimizer.learning_rate": 0.5, "training.batch_size": 3, "name": "free"})
    with pytest.raises(ConfigError) as caught:
        train(other, finished.folder, resume=True)
    message = str(caught.value)
    assert "optimizer.learning_rate: the run has 0.02, now 0.5" in message
    assert "training.batch_size: the run has 4, now 3" in message
    assert "name:" not in message
    assert "--allow-mismatch" in message


def test_a_finished_run_is_loaded_although_its_callback_is_gone(finished, tiny, tmp_path):
    folder = Path(shutil.copytree(finished.folder, tmp_path / "copy"))
    gone = tiny.tiny_config(**{"training.callbacks": ["no_such_module:Callback"]})
    text = (folder / "config.yaml").read_text().replace("callbacks: []", "callbacks: ['no_such_module:Callback']")
    (folder / "config.yaml").write_text(text)
    config = replace(finished.config, training=replace(finished.config.training, callbacks=gone.training.callbacks))
    assert train(config, folder, resume=True).scores == finished.scores


def test_a_resumed_run_says_what_was_deleted_from_its_directory(finished, tiny, caplog):
    shutil.rmtree(finished.folder / "model")
    (finished.folder / "environment.json").unlink()
    again = train(tiny.tiny_config(**SMALL), finished.folder, resume=True)
    assert again.scores == finished.scores
    assert "its predictions or its model are missing or damaged; they are made again" in caplog.text
    assert "environment.json is missing" in caplog.text
    assert (finished.folder / "model" / "config.json").is_file()
    assert (finished.folder / "environment.json").is_file()


def test_a_second_training_in_one_directory_is_refused_before_and_after_its_data_are_read(tiny, tmp_path, monkeypatch):
    out = tmp_path / "one"
    with run_lock(out), pytest.raises(ConfigError, match="another process is writing in this run directory"):
        train(tiny.tiny_config(), out)
    assert not out.exists(), "the refused training has left something"

    load_data = run_module.load_data

    def start_another_run(*arguments, **options):
        data = load_data(*arguments, **options)
        monkeypatch.setattr(run_module, "load_data", load_data)
        train(tiny.tiny_config(**{"seed": 2}), out)
        return data

    monkeypatch.setattr(run_module, "load_data", start_another_run)
    with pytest.raises(ConfigError, match="holds a finished run"):
        train(tiny.tiny_config(**{"seed": 1}), out)
    assert yaml.safe_load((out / "config.yaml").read_text())["seed"] == 2


def test_resume_with_other_data_or_versions_is_refused_unless_allowed(finished, tiny):
    path = finished.folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["corpus_fingerprint"] = "other"
    environment["packages"]["torch"] = "1.0"
    path.write_text(json.dumps(environment))
    metrics = finished.folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines[:-1]))  # as if killed before the summary
    with pytest.raises(ConfigError, match=r"version of torch: the run has '1.0'") as caught:
        train(tiny.tiny_config(**SMALL), finished.folder, resume=True)
    assert "corpus (fingerprint)" in str(caught.value)
    allowed = train(tiny.tiny_config(**SMALL), finished.folder, resume=True, allow_mismatch=True)
    assert allowed.scores == finished.scores


def test_a_changed_config_or_environment_of_a_stopped_run_is_noticed(finished, tiny, caplog):
    metrics = finished.folder / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))  # as if killed before the summary
    config = finished.folder / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("learning_rate: 0.02", "learning_rate: 0.06"))
    changed = tiny.tiny_config(**SMALL, **{"optimizer.learning_rate": 0.06})
    with pytest.raises(ConfigError, match=r"config\.yaml was changed: its settings are not those that the run started"):
        train(changed, finished.folder, resume=True)
    assert "its checksum differs" in caplog.text
    config.write_text(text)
    environment = finished.folder / "environment.json"
    environment.write_text(environment.read_text().replace("run_id", "run_if"))
    with pytest.raises(ConfigError, match=r"environment\.json was changed or damaged"):
        train(tiny.tiny_config(**SMALL), finished.folder, resume=True)
    assert train(tiny.tiny_config(**SMALL), finished.folder, resume=True, allow_mismatch=True).scores == finished.scores


def test_probabilities_of_a_run_under_bf16_autocast_sum_to_one(tiny, tmp_path):
    train(tiny.tiny_config(**SMALL, **{"training.precision": "bf16"}), tmp_path / "run")
    frame = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    probabilities = frame[[f"p_{label}" for label in tiny.LABELS]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_patience_stops_when_dev_no_longer_improves(tiny, tmp_path):
    settings = {"training.epochs": 50, "training.patience": 2, "optimizer.learning_rate": 0.0}
    run = train(tiny.tiny_config(**settings), tmp_path / "run")
    assert len(rows(run, "epoch")) == 3
    assert run.best_epoch == 1


def test_a_loss_that_is_not_finite_stops_before_the_step_and_writes_no_summary(tiny, tmp_path):
    settings = {
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 1e6,
        "optimizer.weight_decay": 1e3,
        "optimizer.clip_norm": 0.0,
    }
    with pytest.raises(TrainingError, match=r"step \d+: the (loss|gradient) is not finite .*train/d\d+_u\d") as caught:
        train(tiny.tiny_config(**settings), tmp_path / "run")
    failed_at = int(str(caught.value).split(":")[0].removeprefix("step "))
    files = RunFiles(tmp_path / "run")
    assert [row["step"] for row in files.history if row["kind"] == "step"] == list(range(1, failed_at))
    assert not files.summary


def test_missing_splits_and_modalities_are_reported_before_training(tiny, tmp_path):
    with pytest.raises(CorpusError, match="'dve'; did you mean 'dev'"):
        train(tiny.tiny_config(**{"data.dev": "dve"}), tmp_path / "run")
    with pytest.raises(ConfigError, match="no modality"):
        train(tiny.tiny_config(features={}), tmp_path / "run2")


def test_train_may_join_splits(tiny, tmp_path):
    run = train(tiny.tiny_config(**{"data.train": "train+test", "training.epochs": 1}), tmp_path / "run")
    assert len(rows(run, "step")) == 6  # 24 dialogues by 4


def test_a_run_that_has_not_finished_says_so(tmp_path, tiny):
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="not finished; continue it with --resume"):
        Run.load(tmp_path / "run")


def test_votes_of_a_table_reach_the_loss_with_soft_labels(tiny, tmp_path):
    turns = ["split,dialogue,text,n_calm,n_glad", "train,a,fine,2,0", "train,a,okay,1,1", "train,a,great,0,3"]
    turns += ["dev,b,fine,1,0", "dev,b,yes,0,1"]
    (tmp_path / "votes.csv").write_text("\n".join(turns) + "\n")
    data = {"reader": "table", "path": str(tmp_path / "votes.csv"), "options": {"columns": {"votes": "n_"}}}
    first_loss = {}
    for soft in (False, True):
        config = tiny.tiny_config(
            **SMALL, **{"data": data, "loss": {"soft_labels": soft}, "model.options.dropout": 0.0}
        )
        run = train(config, tmp_path / f"soft-{soft}")
        first_loss[soft] = rows(run, "step")[0]["loss"]
    # The model is the same at its first step; only the tied turn, which has no label, tells the two apart.
    assert first_loss[True] != first_loss[False]
    assert pd.read_parquet(run.folder / "predictions.parquet")["gold"].isna().tolist()[:3] == [False, True, False]


@pytest.mark.parametrize("split", ["test", "dev"])
def test_labels_of_test_and_dev_never_reach_the_weights(tiny, tmp_path, split):
    options = {"data.options": {"relabel": {split: "cross"}}}
    same, other = (
        train(tiny.tiny_config(**SMALL, **extra), tmp_path / name) for name, extra in (("a", {}), ("b", options))
    )
    steps = [[(row["loss"], row["grad_norm"]) for row in rows(run, "step")] for run in (same, other)]
    assert steps[0] == steps[1]  # class weights, normalisers and vocabulary are train's alone
    assert same.scores[split] != other.scores[split]
    if split == "test":
        weights = [load_file(run.folder / "model" / "model.safetensors") for run in (same, other)]
        assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_a_given_corpus_is_cut_and_learnt_from(tiny, tmp_path):
    cut = {"data.cut.protocol": "leave-one-speaker-out", "data.cut.fold": "Bo"}
    read = train(tiny.tiny_config(**SMALL, **cut), tmp_path / "read")
    config = tiny.tiny_config(**SMALL, **cut, **{"data.reader": "nowhere:read"})
    given = train(config, tmp_path / "given", corpus=tiny.read_tiny())
    frames = [pd.read_parquet(run.folder / "predictions.parquet") for run in (read, given)]
    pd.testing.assert_frame_equal(*frames)
    assert set(frames[0].loc[frames[0]["split"] == "test", "speaker"]) == {"Bo"}
    assert list(dict.fromkeys(frames[0]["split"])) == ["train", "dev", "test"]


@pytest.mark.parametrize("members", [1, 2])
def test_splits_that_lack_a_class_are_reported_before_training_and_in_the_summary(tiny, tmp_path, caplog, members):
    lacking = {"data.options": {"relabel": {"dev": "calm"}}, "training.ensemble": members}
    run = train(tiny.tiny_config(**SMALL, **lacking), tmp_path / "run")
    told = [record.message for record in caplog.records if "has no turn of" in record.message]
    assert told == [
        "split dev has no turn of glad, cross: such a class counts as never found, which lowers UA and macro scores"
    ]
    assert RunFiles(run.folder).summary["absent"] == {"dev": ["glad", "cross"]}
    assert rows(run, "summary")[0]["scores"]["dev"]["uar"] <= 1 / 3


def test_a_summary_names_no_absent_classes_if_every_split_has_them_all(finished):
    assert "absent" not in RunFiles(finished.folder).summary


def test_what_completes_a_run_is_called_when_its_files_are_there_also_if_it_was_finished_before(tiny, tmp_path):
    seen = []

    def complete(folder):
        seen.append((folder.name, RunFiles(folder).summary["best_epoch"], (folder / "predictions.parquet").is_file()))

    config = tiny.tiny_config(**{"training.epochs": 1})
    train(config, tmp_path / "run", complete=complete)
    train(config, tmp_path / "run", resume=True, complete=complete)
    assert seen == [("run", 1, True)] * 2
