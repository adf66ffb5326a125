import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dialogue_ser import NewData, RunConfig, apply_overrides, evaluate_on, train
from dialogue_ser.errors import ConfigError, CorpusError, DialogueSerError, MissingDataError

WORDS = {"calm": "fine okay sure well", "glad": "great lovely yes wow", "cross": "no stop never ugh"}
VALUES = {"calm": (0.1, 0.2), "glad": (0.9, 0.6), "cross": (-0.8, 0.9)}
SMALL = {"global_dim": 8, "party_dim": 8, "emotion_dim": 6, "hidden_dim": 8, "dropout": 0.0}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def turns(names: range, split: str | None = None, **changed: object) -> list[dict[str, object]]:
    rows = []
    for number in names:
        for turn in range(4):
            label = list(WORDS)[(number + turn) % 3]
            words = WORDS[label].split()
            text = " ".join(words[(number + k) % 4] for k in range(4)) + f" {number}"
            valence, arousal = VALUES[label]
            row = {"dialogue": f"d{number}", "speaker": "AB"[turn % 2], "text": text, "label": label}
            row |= {"valence": valence, "arousal": arousal}
            rows.append(({"split": split} if split else {}) | row | changed)
    return rows


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a run of two members on its classes, and a run on its values."""
    folder = tmp_path_factory.mktemp("new-data")
    rows = [*turns(range(12), "train"), *turns(range(12, 16), "dev"), *turns(range(16, 20), "test")]
    table = write(folder / "turns.csv", rows)
    write(folder / "new.csv", turns(range(16, 20)))
    config = apply_overrides(
        RunConfig(name="classes"),
        {"data.reader": "table", "data.path": str(table), "training.epochs": 2, "training.batch_size": 4,
         "features.text": {"encoder": "textcnn", "options": {"n_filters": 4, "embedding_dim": 8, "out_dim": 6}},
         "model.options": SMALL, "training.device": "cpu", "optimizer.learning_rate": 0.02},
    )  # fmt: skip
    train(apply_overrides(config, {"training.ensemble": 2}), out=folder / "classes")
    values = {"task": "regression", "name": "values", "data.options": {"columns": {"targets": ["valence", "arousal"]}}}
    train(apply_overrides(config, values), out=folder / "values")
    return folder


def score(model: Path, path: Path, out: Path, **data: object) -> dict:
    folder, scores = evaluate_on(model, NewData(path=str(path), **data), out, n_resamples=50)
    assert folder == out
    assert json.loads((out / "scores.json").read_text()) == scores
    return scores


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_turns_of_test_get_the_scores_that_training_gave_them_and_the_run_stays_as_it_is(world, tmp_path):
    before = files_of(world / "classes")
    scores = score(world / "classes", world / "new.csv", tmp_path / "out")
    assert files_of(world / "classes") == before
    old = pd.read_parquet(world / "classes" / "predictions.parquet").query("split == 'test'")
    new = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert list(new["split"].unique()) == ["test"]
    assert list(new["predicted"]) == list(old["predicted"])
    assert list(new["p_calm"]) == pytest.approx(list(old["p_calm"]), abs=1e-5)
    part = scores["splits"]["test"]
    assert part["scores"]["accuracy"] == pytest.approx((old["gold"] == old["predicted"]).mean())
    assert part["counts"]["turns"] == 16
    assert set(part["floors"]) == {"majority", "tfidf-logistic"}
    assert scores["run"] == "classes on new.csv"


def test_a_table_with_splits_keeps_them_and_turns_that_the_model_has_learned_are_named(world, tmp_path):
    scores = score(world / "classes", world / "turns.csv", tmp_path / "out")
    assert list(scores["splits"]) == ["train", "dev", "test"]
    assert [note for note in scores["notes"] if note.startswith("train: 12 of 12 dialogues have the same texts")]
    assert not [note for note in scores["notes"] if note.startswith("test: ")]


def test_a_model_folder_that_lies_alone_is_scored_without_floors(world, tmp_path):
    model = shutil.copytree(world / "classes" / "model", tmp_path / "alone")
    scores = score(model, world / "new.csv", tmp_path / "out")
    assert scores["run"] == "alone on new.csv"
    assert scores["splits"]["test"]["floors"] == {}
    assert any("floors left out" in note for note in scores["notes"])


def test_a_regression_reads_the_columns_with_the_names_of_its_dimensions(world, tmp_path):
    scores = score(world / "values", world / "new.csv", tmp_path / "out")
    assert scores["dimensions"] == ["valence", "arousal"]
    assert scores["splits"]["test"]["scores"]["mae"] >= 0
    assert set(scores["splits"]["test"]["floors"]) == {"mean", "tfidf-ridge"}


def test_labels_that_the_model_does_not_know_are_named_once_each_and_can_be_mapped(world, tmp_path):
    rows = turns(range(16, 20))
    for row in rows[:6]:
        row["label"] = {"glad": "happy", "calm": "clam"}.get(row["label"], row["label"])
    path = write(tmp_path / "other.csv", rows)
    with pytest.raises(CorpusError) as caught:
        score(world / "classes", path, tmp_path / "out")
    assert len(caught.value.problems) == 2
    assert "did you mean 'calm'" in str(caught.value)
    assert "--data.options.label_map.happy CLASS" in str(caught.value)
    assert not (tmp_path / "out").exists()
    scores = score(world / "classes", path, tmp_path / "out", options={"label_map": {"happy": "glad", "clam": None}})
    assert scores["splits"]["test"]["counts"]["labelled"] == 14


def test_a_class_of_the_model_that_the_data_lack_is_said(world, tmp_path):
    rows = [row for row in turns(range(16, 20)) if row["label"] != "cross"]
    scores = score(world / "classes", write(tmp_path / "two.csv", rows), tmp_path / "out")
    assert scores["labels"].count("cross") == 1
    assert any("cross" in note for note in scores["notes"])


def test_an_earlier_evaluation_is_replaced_and_nothing_else_is(world, tmp_path):
    for _ in range(2):
        score(world / "classes", world / "new.csv", tmp_path / "out")
    for occupied in (world / "classes", world):
        with pytest.raises(ConfigError, match="holds something else than an earlier evaluation"):
            score(world / "classes", world / "new.csv", occupied)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({}, ConfigError, "there is no data"),
        ({"path": "."}, ConfigError, "is no file"),
        ({"path": "absent.csv"}, DialogueSerError, "absent.csv"),
        ({"path": "new.csv", "reader": "tabel"}, ConfigError, "did you mean 'table'"),
        ({"path": "new.csv", "options": {"colums": {}}}, ConfigError, "did you mean 'columns'"),
        ({"path": "bare.csv"}, DialogueSerError, "label"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_written(
    world, tmp_path, monkeypatch, data, error, message
):
    monkeypatch.chdir(world)
    write(world / "bare.csv", [{"speaker": "A", "text": "fine"}])
    with pytest.raises(error, match=message):
        evaluate_on(world / "classes", NewData(**data))
    assert not (world / "runs").exists()


def test_a_model_that_does_not_exist_is_a_clear_error(world, tmp_path):
    with pytest.raises(MissingDataError):
        evaluate_on(tmp_path / "nowhere", NewData(path=str(world / "new.csv")))
