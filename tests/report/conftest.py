"""A small finished cross-validation with invented predictions: four speakers in two sessions, each tested once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.evaluation.crossval.scores_over_folds import scores_by, scores_over_folds
from dialogue_ser.evaluation.published import published_rows_for
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification

LABELS = ("anger", "happy", "neutral", "sad")
SPEAKERS = ("Ses01F", "Ses01M", "Ses02F", "Ses02M")


def _task(leave_out: list[str] | None = None) -> Task:
    return Classification(LabelSet("4-class", LABELS), tuple(leave_out or ()))


def _frame(n_each: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frames = []
    for place, fold in enumerate(SPEAKERS):
        for split, speaker in (("test", fold), ("dev", SPEAKERS[place ^ 1])):
            gold_N = rng.choice(4, size=n_each, p=[0.2, 0.3, 0.4, 0.1])
            p_NC = np.exp(1.5 * np.eye(4)[gold_N] + rng.normal(size=(n_each, 4)))
            rows = [
                {"split": split, "dialogue_id": f"all/{speaker}_{i}", "utterance_id": f"all/{speaker}_{i}", "turn": 0,
                 "speaker": speaker, "text": "It is <b>fine</b>.", "gold": LABELS[gold]}
                for i, gold in enumerate(gold_N)
            ]  # fmt: skip
            numbers = _task().prediction_columns(p_NC / p_NC.sum(-1, keepdims=True))
            frames.append(pd.DataFrame(rows).assign(**numbers, fold=fold))
    return pd.concat(frames, ignore_index=True)


def _config(leave_out: list[str]) -> dict[str, Any]:
    return {
        "name": "demo",
        "seed": 3,
        "data": {
            "reader": "iemocap",
            "labels": "4-class",
            "options": {"scenario": "improvised"},
            "leave_out": leave_out,
            "cut": {"protocol": "leave-one-speaker-out-partner-dev"},
        },
        "features": {"audio": {"encoder": "opensmile"}},
        "model": {"name": "emotion-rnn"},
        "optimizer": {"name": "adamw"},
        "crossval": {"estimator": "linear-svm", "refit": "train"},
    }


def _fold(frame: pd.DataFrame, name: str, leave_out: list[str]) -> dict[str, Any]:
    own = predictions_of(frame[frame["fold"] == name])
    parts = {split: own.split(split) for split in ("test", "dev")}
    counts = {label: int((parts["test"].frame["gold"] == label).sum()) for label in LABELS}
    partner = SPEAKERS[SPEAKERS.index(name) ^ 1]
    return {
        "name": name,
        **_task(leave_out).scores(parts["test"]),
        "dev": _task(leave_out).scores(parts["dev"]),
        "chosen": {"inverse_regularisation": 0.01},
        "speakers": {"train": sorted({*SPEAKERS} - {name, partner}), "dev": [partner], "test": [name]},
        "utterances": {"train": 40, "dev": 20, "test": 20},
        "labels": {"train": counts, "dev": counts, "test": counts},
        "seconds": 1.0,
    }


def _write(folder: Path, leave_out: list[str], folds: tuple[str, ...] = SPEAKERS, **changed: Any) -> Path:
    """Write predictions.parquet, config.yaml and scores.json; ``changed`` replaces fields of scores.json."""
    frame = _frame()
    frame = frame[frame["fold"].isin(folds)].reset_index(drop=True)
    task, test = _task(leave_out), predictions_of(frame).split("test")
    folder.mkdir()
    frame.to_parquet(folder / "predictions.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(leave_out)))
    scores = {
        "format": 2,
        "kind": "crossval",
        "name": "demo",
        "protocol": "leave-one-speaker-out-partner-dev",
        "system": "linear-svm",
        "uses_unlabelled_test_recordings": False,
        "scenario": "improvised",
        "utterances": {"all": len(test), "tested": len(test)},
        "cut_dialogues": 0,
        "notes": ["3 turns have no clip & are masked"],
        "task": task.kind,
        "labels": list(LABELS),
        **scores_over_folds(frame, task, n_resamples=50),
        "attributes": {"session": scores_by(test, test.frame["speaker"].str[:5], task)},
        "published": published_rows_for("iemocap", 4, "improvised"),
        "folds": [_fold(frame, name, leave_out) for name in folds],
        "config": _config(leave_out),
    }
    (folder / "scores.json").write_text(json.dumps({**scores, **changed}))
    return folder


@pytest.fixture(scope="session")
def write_crossval() -> Callable[..., Path]:
    """A function that writes a finished cross-validation: (folder, leave_out, folds, **changed fields)."""
    return _write
