"""Data that cannot be trained on are refused before anything is written."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, CorpusError, FeatureError
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data import corpus as reading
from dialogue_ser.training.data import prepare
from dialogue_ser.training.run import train


def bare(corpus: Corpus, *splits: str, votes: bool = False) -> Corpus:
    """Return the corpus without the labels of some splits, or with a tie of votes instead."""

    def without(dialogue: Dialogue) -> Dialogue:
        tie = {"calm": 1.0, "glad": 1.0} if votes else None
        return replace(dialogue, utterances=tuple(replace(turn, label=None, votes=tie) for turn in dialogue))

    return replace(
        corpus,
        splits={
            name: tuple(map(without, dialogues)) if name in splits else dialogues
            for name, dialogues in corpus.splits.items()
        },
    )


def test_splits_without_labels_are_named_and_nothing_is_written(tiny, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reading, "read_corpus", lambda *_, **__: bare(tiny.read_tiny(), "train", "dev"))
    with pytest.raises(CorpusError) as caught:
        train(tiny.tiny_config(), tmp_path / "run")
    first, second = caught.value.problems
    assert "no turn of split 'train' is labelled" in first
    assert "no turn of split 'dev' is labelled" in second
    assert not (tmp_path / "run").exists()


def test_votes_are_labels_to_learn_from_only_where_labels_are_soft(tiny, monkeypatch) -> None:
    monkeypatch.setattr(reading, "read_corpus", lambda *_, **__: bare(tiny.read_tiny(), "train", votes=True))
    config = tiny.tiny_config(**{"loss.soft_labels": True})
    assert len(prepare.load_data(config).train) == 19
    with pytest.raises(CorpusError, match="split 'train'"):
        prepare.load_data(tiny.tiny_config())


def rows_of(corpus: Corpus, path: Path, *splits: str) -> dict[str, object]:
    """Write a feature file for some splits and return the settings that read it."""
    ids = [turn.id for split in splits for turn in utterances(corpus.split(split))]
    pd.DataFrame({"utterance_id": ids, "length": [float(len(key)) for key in ids]}).to_csv(path, index=False)
    return {"encoder": "precomputed", "options": {"path": str(path)}}


def test_a_split_without_any_features_is_refused_before_training(tiny, tmp_path: Path) -> None:
    only_train = rows_of(tiny.read_tiny(), tmp_path / "train.csv", "train")
    with pytest.raises(FeatureError) as caught:
        train(tiny.tiny_config(**{"features.text": only_train}), tmp_path / "run")
    counts = {split: sum(map(len, tiny.read_tiny().split(split))) for split in ("dev", "test")}
    (problem,) = caught.value.problems
    assert problem.startswith(
        f"none of the {sum(counts.values())} turns of dev and test has features (text), e.g. dev/"
    )
    assert not (tmp_path / "run").exists()


def test_a_split_that_lacks_one_modality_of_two_is_a_warning(tiny, tmp_path: Path, caplog) -> None:
    only_train = rows_of(tiny.read_tiny(), tmp_path / "train.csv", "train")
    data = prepare.load_data(tiny.tiny_config(**{"features.prosody": only_train}))
    assert set(data.tables) == {"text", "prosody"}
    assert "split 'test': none of its" in caplog.text
    assert "has features of prosody" in caplog.text


def test_micro_f1_without_a_class_may_choose(tiny, tmp_path: Path) -> None:
    config = tiny.tiny_config(**{"data.leave_out": ["calm"], "training.select": "micro_f1", "training.epochs": 3})
    run = train(config, tmp_path / "run")
    epochs = [row["dev"] for row in RunFiles(run.folder).epochs]
    best = max(row["micro_f1"] for row in epochs)
    assert [row["micro_f1"] for row in epochs].index(best) + 1 == run.best_epoch
    frame = pd.read_parquet(run.folder / "predictions.parquet").query("split == 'dev' and gold.notna()")
    hits = int(((frame.gold == frame.predicted) & (frame.gold != "calm")).sum())
    found = int((frame.gold != "calm").sum()) + int((frame.predicted != "calm").sum())
    assert run.scores["dev"]["micro_f1"] == pytest.approx(2 * hits / found) == pytest.approx(best)
    assert run.scores["dev"]["micro_f1"] != run.scores["dev"]["accuracy"]  # control


def test_micro_f1_needs_classes_to_leave_out_and_they_must_be_there(tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"micro_f1 of all classes is accuracy"):
        tiny.tiny_config(**{"training.select": "micro_f1"})
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'clam'; did you mean 'calm'"):
        train(tiny.tiny_config(**{"data.leave_out": ["clam"]}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_odd_in_a_corpus_is_said_once_before_features_are_made(tmp_path, caplog):
    (tmp_path / "own.csv").write_text("text,label,split\na,joy,train\nb,Joy,train\nc,joy,dev\n")
    data = {"data.reader": "table", "data.path": str(tmp_path / "own.csv"), "features.text.encoder": "not-there"}
    config = apply_overrides(RunConfig(), data)

    def told(**options) -> list[str]:
        caplog.clear()
        with pytest.raises(ConfigError, match="not-there"):
            prepare.load_data(config, **options)
        return [record.message for record in caplog.records]

    (first,) = [message for message in told(with_warnings=True) if "'Joy' (1 turn)" in message]
    assert first.startswith("corpus table: labels differ only in case")
    assert told() == []
    assert told(with_warnings=True, whole=read_corpus("table", tmp_path / "own.csv")) == []


def test_a_split_whose_words_train_does_not_have_is_a_warning_before_training(tiny, monkeypatch, caplog) -> None:
    corpus = tiny.read_tiny()
    foreign = tuple(
        replace(dialogue, utterances=tuple(replace(turn, text="ไม่เป็นไร") for turn in dialogue))
        for dialogue in corpus.split("test")
    )
    foreign_corpus = replace(corpus, splits={**corpus.splits, "test": foreign})
    monkeypatch.setattr(reading, "read_corpus", lambda *_, **__: foreign_corpus)
    prepare.load_data(tiny.tiny_config(**{"features": {"text": {"encoder": "textcnn"}}}))
    notes = [record.message for record in caplog.records if "unknown" in record.message]
    n_turns = sum(map(len, foreign))
    assert [note.split(":")[0] for note in notes] == ["features.text, split 'test'"]
    assert f"{7 * n_turns} of {7 * n_turns} words are unknown" in notes[0]
