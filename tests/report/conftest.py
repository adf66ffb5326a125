"""A small finished cross-validation, made up: four speakers in two sessions, each tested once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from dialogue_ser.evaluation.pooling import pooled_scores, scores_by, scores_of
from dialogue_ser.evaluation.published import rows_beside
from dialogue_ser.metrics.predictions import prediction_rows

LABELS = ("anger", "happy", "neutral", "sad")
SPEAKERS = ("Ses01F", "Ses01M", "Ses02F", "Ses02M")


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
            frame = prediction_rows(rows, LABELS, p_NC / p_NC.sum(-1, keepdims=True))
            frames.append(frame.assign(fold=fold))
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
        },
        "features": {"audio": {"encoder": "opensmile"}},
        "model": {"name": "emotion-rnn"},
        "optimizer": {"name": "adamw"},
        "crossval": {"estimator": "linear-svm", "refit": "train"},
    }


def _fold(frame: pd.DataFrame, name: str, leave_out: list[str]) -> dict[str, Any]:
    parts = {split: frame[(frame["fold"] == name) & (frame["split"] == split)] for split in ("test", "dev")}
    counts = {label: int((parts["test"]["gold"] == label).sum()) for label in LABELS}
    partner = SPEAKERS[SPEAKERS.index(name) ^ 1]
    return {
        "name": name,
        **scores_of(parts["test"], LABELS, leave_out),
        "dev": scores_of(parts["dev"], LABELS, leave_out),
        "chosen": {"inverse_regularisation": 0.01},
        "speakers": {"train": sorted({*SPEAKERS} - {name, partner}), "dev": [partner], "test": [name]},
        "utterances": {"train": 40, "dev": 20, "test": 20},
        "labels": {"train": counts, "dev": counts, "test": counts},
        "seconds": 1.0,
    }


def _write(folder: Path, leave_out: list[str], folds: tuple[str, ...] = SPEAKERS, **changed: Any) -> Path:
    """predictions.parquet, config.yaml and scores.json; ``changed`` fields of the latter replace the usual ones."""
    frame = _frame()
    frame = frame[frame["fold"].isin(folds)].reset_index(drop=True)
    test = frame[frame["split"] == "test"]
    folder.mkdir()
    frame.to_parquet(folder / "predictions.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(leave_out)))
    scores = {
        "format": 1,
        "kind": "crossval",
        "name": "demo",
        "protocol": "leave-one-speaker-out-partner-dev",
        "system": "linear-svm",
        "uses_unlabelled_test_recordings": False,
        "scenario": "improvised",
        "utterances": {"all": len(test), "tested": len(test)},
        "cut_dialogues": 0,
        "notes": ["3 turns have no clip & are masked"],
        "labels": list(LABELS),
        **pooled_scores(frame, LABELS, n_resamples=50, leave_out=leave_out),
        "attributes": {"session": scores_by(test, test["speaker"].str[:5], LABELS)},
        "published": rows_beside("iemocap", 4, "improvised"),
        "folds": [_fold(frame, name, leave_out) for name in folds],
        "config": _config(leave_out),
    }
    (folder / "scores.json").write_text(json.dumps({**scores, **changed}))
    return folder


@pytest.fixture(scope="session")
def write_crossval() -> Callable[..., Path]:
    """Writes a finished cross-validation into a new folder: (folder, leave_out, folds, **changed scores)."""
    return _write
