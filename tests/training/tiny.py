"""A tiny corpus, encoder and configuration for the tests of training; as a script, one run that may be killed.

``python tiny.py OUT [--resume] [--kill-at STEP --kill-with KILL|TERM|INT] [--every N] [--set NAME=YAML …]``
"""

import argparse
import os
import signal
from itertools import count

import numpy as np
import yaml

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.training.config import RunConfig
from dialogue_ser.training.config_io import apply_overrides, config_from_dict

LABELS = ("calm", "glad", "cross")
WORDS = {"calm": "fine okay sure", "glad": "great lovely yes", "cross": "no stop never"}


def read_tiny(
    path: str | None = None, labels: str = "emotion", seed: int = 0, relabel: dict[str, str] | None = None
) -> Corpus:
    """Random dialogues; ``relabel`` (split → label) gives every labelled turn of a split another label."""
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
                    )
                )
            dialogues.append(Dialogue(f"{split}/d{number}", tuple(turns)))
        splits[split] = tuple(dialogues)
    return Corpus(name="tiny", label_set=LabelSet("emotion", LABELS), splits=splits)


def letters(texts: list[str]) -> np.ndarray:
    """Counts of letters [N, 26]: an encoder of one's own."""
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


def signal_at(step: int, name: str) -> None:
    """Sends this process a signal right after its STEP-th step's line was written, before anything else happens."""
    from dialogue_ser.training.tracking import MetricsFile

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
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--kill-with", default="KILL")
    parser.add_argument("--set", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.kill_at:
        signal_at(arguments.kill_at, arguments.kill_with)
    from dialogue_ser.training.run import train

    settings = {name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in arguments.set)}
    train(tiny_config(**settings), arguments.out, resume=arguments.resume)


if __name__ == "__main__":
    main()
