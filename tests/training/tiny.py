"""A tiny corpus, encoder and configuration for the tests of training. As a script, it makes one run and may kill it.

``python tiny.py OUT [--resume] [--kill-at STEP --kill-with KILL|TERM|INT] [--values] [--set NAME=YAML …]``
"""

import argparse
import os
import signal
import time
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import yaml

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState

LABELS = ("calm", "glad", "cross")
SENTIMENTS = {"glad": "positive", "cross": "negative"}  # that of calm is not known
WORDS = {"calm": "fine okay sure", "glad": "great lovely yes", "cross": "no stop never"}


def read_tiny(
    path: str | None = None, labels: str = "emotion", seed: int = 0, relabel: dict[str, str] | None = None
) -> Corpus:
    """Return random dialogues; with ``relabel`` (split → label) every labelled turn of a split gets this label."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, size in {"train": 19, "dev": 7, "test": 5}.items():
        dialogues = []
        for number in range(size):
            turns = []
            for turn in range(int(rng.integers(1, 7))):
                label = str(rng.choice(LABELS, p=[0.5, 0.3, 0.2]))
                text = " ".join(rng.choice(WORDS[label if rng.random() < 0.8 else "calm"].split(), size=4))
                turns.append(
                    Utterance(
                        id=f"{split}/d{number}_u{turn}",
                        speaker=str(rng.choice(["Ann", "Bo", "Cy"])),
                        text=None if rng.random() < 0.05 else text,
                        label=None if rng.random() < 0.1 else (relabel or {}).get(split, label),
                        sentiment=SENTIMENTS.get(label),
                    )
                )
            dialogues.append(Dialogue(f"{split}/d{number}", tuple(turns)))
        splits[split] = tuple(dialogues)
    return Corpus(name="tiny", label_set=LabelSet("emotion", LABELS), splits=splits)


DIMENSIONS = ("valence", "arousal")
FELT = {"calm": (3.0, 1.5), "glad": (4.5, 3.0), "cross": (1.5, 4.0)}


def read_values(path: str | None = None, labels: str = "none", seed: int = 0, revalue: str = "") -> Corpus:
    """Return the same dialogues without classes, but with values of two dimensions that follow from the label.

    Turns without a label have no values, and one turn in ten lacks arousal. ``revalue`` names a split whose values are
    reversed.
    """
    rng, splits = np.random.default_rng(seed + 1), {}
    for split, dialogues in read_tiny(seed=seed).splits.items():
        splits[split] = tuple(
            replace(dialogue, utterances=tuple(_with_values(turn, rng, split == revalue) for turn in dialogue))
            for dialogue in dialogues
        )
    return Corpus(name="tiny-values", dimensions=DIMENSIONS, splits=splits)


def _with_values(turn: Utterance, rng: np.random.Generator, is_reversed: bool) -> Utterance:
    noise, lacks_arousal = rng.normal(0, 0.2, 2), rng.random() < 0.1
    if turn.label is None:
        return turn
    values = 6 - np.add(FELT[turn.label], noise) if is_reversed else np.add(FELT[turn.label], noise)
    named = dict(zip(DIMENSIONS, values.tolist(), strict=True))
    return replace(turn, label=None, targets={"valence": named["valence"]} if lacks_arousal else named)


def letters(texts: list[str]) -> np.ndarray:
    """Count letters ``[N, 26]``: an encoder of the user."""
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32) / 4


def tiny_config(**overrides: object) -> RunConfig:
    config = config_from_dict(
        {
            "name": "tiny",
            "data": {"reader": "tiny:read_tiny"},
            "features": {"text": {"encoder": "tiny:letters", "transforms": ["standardise"]}},
            "model": {"name": "bigru", "options": {"hidden_dim": 6, "dropout": 0.3}},
            "optimizer": {"learning_rate": 0.02, "schedule": "cosine", "warmup_fraction": 0.2},
            "training": {"epochs": 3, "batch_size": 4, "device": "cpu", "ema_decay": 0.8},
            "loss": {"class_weights": "inverse-frequency", "label_smoothing": 0.1},
        }
    )
    return apply_overrides(config, overrides)


def value_config(**overrides: object) -> RunConfig:
    config = config_from_dict(
        {
            "name": "tiny-values",
            "task": "regression",
            "data": {"reader": "tiny:read_values"},
            "features": {"text": {"encoder": "tiny:letters", "transforms": ["standardise"]}},
            "model": {"name": "bigru", "options": {"hidden_dim": 6, "dropout": 0.1}},
            "optimizer": {"learning_rate": 0.02},
            "training": {"epochs": 3, "batch_size": 4, "device": "cpu"},
        }
    )
    return apply_overrides(config, overrides)


def worst_dimension(gold_NS: np.ndarray, predicted_NS: np.ndarray) -> float:
    """Return the mean absolute error of the worse dimension: a metric of the user, lower is better."""
    return float(np.abs(gold_NS - predicted_NS).mean(0).max())


worst_dimension.direction = "min"  # type: ignore[attr-defined]


class Rest(Callback):
    """Lets the processor rest after each step, so that a run takes time but no work: a callback of the user."""

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Wait."""
        time.sleep(0.3)


def signal_at(step: int, name: str) -> None:
    """Send this process a signal right after the line of its STEP-th step was written, before anything else happens."""
    from dialogue_ser.training.record.tracking import MetricsFile

    write_line, steps = MetricsFile.on_step, count(1)

    def on_step(self, state, row):
        write_line(self, state, row)
        if next(steps) == step:
            os.kill(os.getpid(), signal.Signals[f"SIG{name}"])

    MetricsFile.on_step = on_step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--values", action="store_true")
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--kill-with", default="KILL")
    parser.add_argument("--set", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.kill_at:
        signal_at(arguments.kill_at, arguments.kill_with)
    from dialogue_ser.training.run import train

    settings = {name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in arguments.set)}
    make = value_config if arguments.values else tiny_config
    train(make(**settings), arguments.out, resume=arguments.resume)


if __name__ == "__main__":
    main()
