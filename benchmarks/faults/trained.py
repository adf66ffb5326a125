"""Small runs that are killed, stopped, damaged and resumed, and the comparison with the run that nothing disturbed."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.faults.core.case import Failed
from benchmarks.faults.core.isolation import Child, start, start_command
from benchmarks.faults.core.oracle import require_equal

LABELS = {"calm": "fine okay sure", "glad": "great lovely yes", "cross": "no stop never"}
FELT = {"calm": (3.0, 1.5), "glad": (4.5, 3.0), "cross": (1.5, 4.0)}
N_DIALOGUES = {"train": 16, "dev": 5, "test": 4}
TABLE, REFERENCE = "turns.csv", "reference.json"
#: No case waits longer for a process.
MAX_SECONDS = 50.0
_TEXT = {
    "encoder": "textcnn",
    "options": {"embedding_dim": 8, "n_filters": 4, "out_dim": 6, "widths": [1, 2], "min_count": 1},
}
_NUMBERS = {"encoder": "precomputed", "options": {"path": "audio.csv"}, "transforms": ["standardise"]}
_LOOP = {"epochs": 6, "batch_size": 4, "device": "cpu", "checkpoint_every_steps": 2}
_SMALL = {"global_dim": 6, "party_dim": 6, "emotion_dim": 4, "hidden_dim": 6}
#: Kinds of runs: what differs from the defaults. They cover the parts of a run's state.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "text": {
        "features": {"text": _TEXT},
        "model": {"name": "bigru", "options": {"hidden_dim": 6, "dropout": 0.3}},
        "optimizer": {"learning_rate": 0.02, "schedule": "cosine", "warmup_fraction": 0.2},
        "training": {**_LOOP, "ema_decay": 0.8},
        "loss": {"class_weights": "inverse-frequency", "label_smoothing": 0.1},
    },
    "audio-text": {
        "features": {"audio": _NUMBERS, "text": _TEXT},
        "model": {"name": "emotion-rnn", "options": _SMALL},
        "optimizer": {"learning_rate": 0.01},
        "training": {**_LOOP, "checkpoint_every_steps": 3, "patience": 4, "keep_checkpoints": 1},
    },
    "ensemble": {
        "features": {"text": _TEXT},
        "model": {"name": "bigru", "options": {"hidden_dim": 6}},
        "training": {**_LOOP, "epochs": 3, "ensemble": 2},
    },
    "values": {
        "task": "regression",
        "features": {"text": _TEXT},
        "data": {"targets": ["valence", "arousal"], "options": {"columns": {"targets": ["valence", "arousal"]}}},
        "model": {"name": "bigru", "options": {"hidden_dim": 6}},
        "training": {**_LOOP, "checkpoint_every_steps": 0},
    },
}
SEEDS = (1, 2)


def write_material(folder: Path, variants: tuple[str, ...] = tuple(VARIANTS), seeds: tuple[int, ...] = (1,)) -> None:
    """Write the corpus and the settings of every variant, and train each without any fault.

    ``NAME-SEED.yaml`` is a configuration, ``NAME-SEED/`` its finished run, reference.json has the results and seconds.
    """
    write_corpus(folder)
    reference = {}
    for name in variants:
        for seed in seeds:
            key = f"{name}-{seed}"
            (folder / f"{key}.yaml").write_text(yaml.safe_dump(settings(folder, name, seed)), encoding="utf-8")
            started = time.monotonic()
            child = start_training(folder, key, folder / key, folder / f"{key}.txt")
            if child.wait(MAX_SECONDS) != 0:
                raise RuntimeError(f"the undisturbed run {key} failed: {child.text[-2000:]}")
            reference[key] = {"seconds": time.monotonic() - started, "results": results(folder / key)}
    (folder / REFERENCE).write_text(json.dumps(reference), encoding="utf-8")


def settings(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """Return the configuration of a variant."""
    chosen = VARIANTS[name]
    features = {
        modality: {**given, "options": {**given["options"], "path": str(folder / "audio.csv")}}
        if given["encoder"] == "precomputed"
        else given
        for modality, given in chosen["features"].items()
    }
    data = {"reader": "table", "path": str(folder / TABLE), **chosen.get("data", {})}
    return {**chosen, "name": "faults", "seed": seed, "data": data, "features": features}


def reference_of(material: Path, key: str) -> tuple[dict[str, Any], float]:
    """Return the results of an undisturbed run, and the seconds that it took."""
    found = json.loads((material / REFERENCE).read_text(encoding="utf-8"))[key]
    return found["results"], float(found["seconds"])


def start_training(material: Path, key: str, out: Path, printed: Path, *, resume: bool = False) -> Child:
    """Start a training, without report and scores."""

    def work() -> int:
        return train_here(material, key, out, resume=resume)

    return start(work, printed)


def train_here(material: Path, key: str, out: Path, *, resume: bool = False) -> int:
    """Train in this process and return the exit status that the command line would have."""
    import sys

    from dialogue_ser.errors import DialogueSerError
    from dialogue_ser.training.config.files import load_config
    from dialogue_ser.training.run import train

    try:
        train(load_config(material / f"{key}.yaml"), out, resume=resume, progress=False)
    except DialogueSerError as error:
        for problem in error.problems or (str(error),):
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def start_command_line(material: Path, key: str, out: Path, printed: Path, *, resume: bool = False) -> Child:
    """Start the command ``train``, with scores and report."""
    flags = ["--resume", str(out)] if resume else ["--config", str(material / f"{key}.yaml"), "--out", str(out)]
    return start_command(["train", *flags], printed)


def finish(material: Path, key: str, out: Path, folder: Path, *, whole: bool = False) -> None:
    """Continue a run to its end; start it if nothing had been written yet.

    Raises:
        Failed: it does not end well.
    """
    begin = start_command_line if whole else start_training
    child = begin(material, key, out, folder / "resume.txt", resume=True)
    if child.wait(MAX_SECONDS) == 2 and not (out / "config.yaml").is_file():
        child = begin(material, key, out, folder / "again.txt")
        child.wait(MAX_SECONDS)
    if child.status != 0:
        raise Failed(f"the run does not continue: exit status {child.status}: {last_line(child.text)}")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was printed"


def require_same_run(out: Path, right: Mapping[str, Any]) -> None:
    """Compare a finished run with the results of the undisturbed one: losses, scores, predictions, weights.

    Raises:
        Failed: something differs.
    """
    require_equal(results(out), dict(right))


def results(folder: Path) -> dict[str, Any]:
    """Return what a run found, without times: lines of metrics.jsonl, predictions, and hashes of tensors.

    Raises:
        Failed: files are missing or unreadable.
    """
    import pandas as pd

    try:
        members = sorted(path for path in folder.glob("members/*") if path.is_dir())
        frame = pd.read_parquet(folder / "predictions.parquet")
        tensors = sorted([*(folder / "model").rglob("*.safetensors"), *folder.glob("*.safetensors")])
        return {
            "config": hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest(),
            "metrics": {str(path.relative_to(folder)): _rows(path) for path in sorted(folder.rglob("metrics.jsonl"))},
            "predictions": json.loads(frame.to_json(orient="split", double_precision=15)),
            "tensors": {str(path.relative_to(folder)): _sha256(path) for path in tensors},
            "members": [path.name for path in members],
        }
    except (OSError, ValueError) as error:
        raise Failed(f"the results cannot be read: {error}") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "peak_memory_bytes")} for row in rows]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_corpus(folder: Path) -> None:
    """Write a table of turns, and a table of numbers for each of them."""
    rng = np.random.default_rng(5)
    rows, features = ["dialogue,speaker,text,emotion,valence,arousal,split"], ["utterance_id,a,b,c"]
    for split, n in N_DIALOGUES.items():
        for number in range(n):
            for turn in range(int(rng.integers(1, 6))):
                label = str(rng.choice(list(LABELS), p=[0.5, 0.3, 0.2]))
                words = " ".join(rng.choice(LABELS[label if rng.random() < 0.8 else "calm"].split(), size=3))
                felt = np.add(FELT[label], rng.normal(0, 0.2, 2))
                speaker = rng.choice(["Ann", "Bo", "Cy"])
                rows.append(f"{split}{number},{speaker},{words},{label},{felt[0]:.3f},{felt[1]:.3f},{split}")
                numbers = rng.normal(list(LABELS).index(label), 1, 3)
                features.append(f"{split}/{split}{number}_utt{turn}," + ",".join(f"{value:.5f}" for value in numbers))
    (folder / TABLE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "audio.csv").write_text("\n".join(features) + "\n", encoding="utf-8")
