"""A small, seeded, torch-free run directory, for the tests of evaluation and report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import save_file

LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
FREQUENCY = np.array([0.46, 0.11, 0.04, 0.08, 0.16, 0.03, 0.12])
LINES = {
    "neutral": ("Okay, see you at six.", "I put the keys on the table.", "So the meeting is on Thursday."),
    "surprise": ("Oh my God, you did what?!", "Wait, seriously? Already?", "No way, that was you?!"),
    "fear": ("I really can't go in there, I'm scared.", "What if they find out? I'm terrified."),
    "sadness": ("I just miss her so much.", "It's over, I'm so sorry.", "I guess nobody will come then."),
    "joy": ("That's wonderful, I'm so happy for you!", "Yay, we won! We won!", "I love it, thank you!"),
    "disgust": ("Ew, that smells horrible.", "That is gross, take it away."),
    "anger": (
        "You can't just take my sandwich!",
        "Stop it! I said no!",
        "I'm so mad at you <b>right now</b> & I mean it.",
    ),
}
SPEAKERS = ("Monica", "Ross", "Chandler", "Phoebe", "Joey", "Rachel")
#: Mean valence and arousal of every emotion, from 1 to 5.
VALUES = {
    "neutral": (3.0, 2.6), "surprise": (3.3, 3.8), "fear": (2.0, 3.6), "sadness": (1.8, 2.2), "joy": (4.2, 3.5),
    "disgust": (2.1, 3.0), "anger": (1.7, 4.1),
}  # fmt: skip
DIMENSIONS = ("valence", "arousal")
SIZES = {"train": (30, 9), "dev": (10, 9), "test": (14, 10)}


def _dialogue(rng: np.random.Generator, split: str, number: int, n_turns: int) -> list[dict]:
    cast = rng.choice(SPEAKERS, size=min(n_turns, int(rng.integers(2, 5))), replace=False)
    mood, rows, speaker = int(rng.choice(7, p=FREQUENCY)), [], 0
    for turn in range(n_turns):
        speaker = (speaker + int(rng.integers(1, max(2, len(cast))))) % len(cast)
        mood = mood if rng.random() < 0.55 else int(rng.choice(7, p=FREQUENCY))
        label = LABELS[mood]
        text = str(rng.choice(LINES[label] if rng.random() < 0.7 else LINES["neutral"]))
        rows.append(
            {
                "split": split,
                "dialogue_id": f"dia{number}",
                "utterance_id": f"{split}/dia{number}_utt{turn}",
                "turn": turn,
                "speaker": str(cast[speaker]),
                "text": text,
                "gold": label,
            }
        )
    return rows


def predictions_frame(seed: int, skill: float = 2.2) -> pd.DataFrame:
    """Turns are the same for every seed; the predictions differ. The last test turn is unlabelled."""
    turns, rng = np.random.default_rng(20), np.random.default_rng(seed)
    rows: list[dict] = []
    for split, (n_dialogues, mean_turns) in SIZES.items():
        for number in range(n_dialogues):
            n_turns = (
                33 if (split, number) == ("test", 3) else 1 if number == 1 else int(turns.integers(2, 2 * mean_turns))
            )
            rows += _dialogue(turns, split, number, n_turns)
    logits = rng.normal(size=(len(rows), 7)) + np.log(FREQUENCY)
    gold = np.array([LABELS.index(row["gold"]) for row in rows])
    logits[np.arange(len(rows)), gold] += skill
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    rows[-1]["gold"] = None
    frame = pd.DataFrame(rows)
    frame["predicted"] = [LABELS[i] for i in p.argmax(-1)]
    for i, label in enumerate(LABELS):
        frame[f"p_{label}"] = p[:, i]
    return frame


def values_frame(seed: int, skill: float = 2.2) -> pd.DataFrame:
    """As :func:`predictions_frame`, of values; some turns lack a dimension, the last test turn both."""
    turns, rng = np.random.default_rng(21), np.random.default_rng(seed)
    frame = predictions_frame(seed, skill)
    frame = frame[["split", "dialogue_id", "utterance_id", "turn", "speaker", "text", "gold"]]
    mean_NS = np.array([VALUES[label] for label in frame["gold"].fillna("neutral")])
    gold_NS = mean_NS + turns.normal(scale=0.4, size=mean_NS.shape)
    said_NS = gold_NS + rng.normal(scale=1 / skill, size=gold_NS.shape)
    gold_NS[turns.random(gold_NS.shape) < 0.05] = np.nan
    gold_NS[-1] = np.nan
    columns = {f"gold_{name}": gold_NS[:, i] for i, name in enumerate(DIMENSIONS)}
    columns |= {f"predicted_{name}": said_NS[:, i] for i, name in enumerate(DIMENSIONS)}
    return frame.drop(columns="gold").assign(**columns)


def _dev_scores(task: str, score: float) -> dict[str, float]:
    if task == "regression":
        return {"ccc": score, "pearson_r": score + 0.02, "mae": 1 - score}
    return {"weighted_f1": score, "macro_f1": score - 0.15, "accuracy": score + 0.03, "uar": score - 0.16}


def _history(seed: int, task: str) -> list[dict]:
    key = "ccc" if task == "regression" else "weighted_f1"
    rng, lines, best, best_epoch = np.random.default_rng(seed + 100), [], 0.0, 0
    for epoch in range(1, 13):
        lines.append(
            {"kind": "step", "epoch": epoch, "step": epoch * 3, "loss": 1.0, "grad_norm": 1.0, "learning_rate": 1e-3}
        )
        f1 = 0.58 - 0.3 * np.exp(-epoch / 2.5) - 0.0008 * max(0, epoch - 7) ** 2 + rng.normal(scale=0.004)
        is_best = f1 > best
        best, best_epoch = (f1, epoch) if is_best else (best, best_epoch)
        lines.append(
            {
                "kind": "epoch",
                "epoch": epoch,
                "step": epoch * 3,
                "seconds": 1.2,
                "train_loss": 0.7 + np.exp(-epoch / 5),
                "train": {key: 0.8 - 0.5 * np.exp(-epoch / 4)},
                "dev_loss": 1.2 + 0.5 * np.exp(-epoch / 2) + 0.01 * epoch,
                "dev": _dev_scores(task, f1),
                "is_best": bool(is_best),
                "learning_rate": 1e-3,
            }
        )
    lines.append(
        {
            "kind": "summary",
            "best_epoch": best_epoch,
            "n_parameters": 412_345,
            "peak_memory_bytes": 512 * 2**20,
            "seconds": 14.4,
            "scores": {"dev": {key: best}},
            "masked": {"audio": 3},
        }
    )
    return lines


def _attention(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    rng, tensors = np.random.default_rng(7), {}
    for (split, dialogue), rows in frame.groupby(["split", "dialogue_id"]):
        scores = np.tril(rng.gamma(0.6, size=(len(rows), len(rows))) + 1e-3, k=-1)
        total = scores.sum(-1, keepdims=True)
        tensors[f"{split}/{dialogue}/forward"] = np.divide(
            scores, total, out=np.zeros_like(scores), where=total > 0
        ).astype(np.float32)
    return tensors


def write_run(
    folder: Path,
    seed: int = 1,
    skill: float = 2.2,
    dev: str = "dev",
    name: str = "demo",
    task: str = "classification",
) -> Path:
    """Write the run directory into ``folder`` (created) and return it."""
    folder.mkdir(parents=True)
    config = {
        "name": name,
        "seed": seed,
        "data": {
            "reader": "meld",
            "path": None,
            "labels": "emotion",
            "options": {},
            "train": "train",
            "dev": dev,
            "on_bad": "mask",
        },
        "features": {
            "text": {"encoder": "minilm", "options": {}, "transforms": ["standardise"]},
            "audio": {
                "encoder": "opensmile",
                "options": {"set": "eGeMAPSv02"},
                "transforms": ["impute", "standardise"],
            },
        },
        "model": {"name": "emotion-rnn", "options": {"attention": "matching"}},
        "loss": {"class_weights": "none", "label_smoothing": 0.0},
        "optimizer": {"name": "adamw", "learning_rate": 0.001},
        "training": {"epochs": 12, "batch_size": 32, "select": "weighted_f1"},
    }
    if task == "regression":
        config["task"] = task
        config["data"] |= {"reader": "table", "labels": "", "targets": list(DIMENSIONS)}
        config["loss"], config["training"]["select"] = {"kind": "ccc"}, "ccc"
    environment = {
        "versions": {"python": "3.11.7", "torch": "2.13.0", "dialogue-ser": "0.1.0"},
        "machine": "2 cores, CPU",
        "command": "dialogue-ser train --preset quickstart --seed 1",
        "corpus_fingerprint": "ab" * 32,
        "git_revision": "2d436e1",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in _history(seed, task)), encoding="utf-8"
    )
    frame = (values_frame if task == "regression" else predictions_frame)(seed, skill)
    frame.to_parquet(folder / "predictions.parquet", index=False)
    save_file(_attention(frame), folder / "attention.safetensors")
    return folder
