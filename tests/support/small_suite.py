"""A suite that trains in a second: a small table of dialogues, a base, three systems, one of them the user's own."""

from pathlib import Path

import numpy as np

WORDS = {"calm": "fine okay sure well", "glad": "great lovely yes wow", "cross": "no stop never ugh"}
MODEL = """
from dataclasses import dataclass

from torch import nn

from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.models.api import DialogueSystem, Output


@dataclass(frozen=True, kw_only=True)
class MineConfig:
    hidden: int = 6


class Mine(DialogueSystem):
    name = "mine"
    Config = MineConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config, inputs, n_scores):
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs)
        self.head = nn.Sequential(
            nn.Linear(self.turns.out_dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, n_scores)
        )

    def forward(self, batch, *, return_attention=False):
        return Output(self.head(self.turns(batch)), {})
"""
SUITE = """\
name: small
base: base.yaml
seeds: [1, 2]
systems:
  erc: {model.name: emotion-rnn, model.options: {global_dim: 6, party_dim: 6, emotion_dim: 4, hidden_dim: 6}}
  blind: {model: {name: bigru, options: {hidden_dim: 6}}}
  mine: {model.name: "my_small_model:Mine"}
reference: blind
"""


def write_suite(folder: Path, text: str = SUITE, n_dialogues: int = 40) -> Path:
    """Write a suite with its base, its table and the module my_small_model into a folder; return the suite's file."""
    rng = np.random.default_rng(0)
    rows = ["split,dialogue,speaker,text,label"]
    for number in range(n_dialogues):
        split = ("train", "train", "dev", "test")[number % 4]
        for _ in range(int(rng.integers(1, 6))):
            label = str(rng.choice(list(WORDS)))
            said = " ".join(rng.choice(WORDS[label if rng.random() < 0.8 else "calm"].split(), size=3))
            rows.append(f"{split},d{number},{rng.choice(['Ann', 'Bo'])},{said},{label}")
    (folder / "turns.csv").write_text("\n".join(rows) + "\n")
    (folder / "base.yaml").write_text(
        f"data: {{reader: table, path: {folder / 'turns.csv'}}}\n"
        "features: {text: {encoder: textcnn, options: {n_filters: 4, embedding_dim: 6, out_dim: 5, dropout: 0.0}}}\n"
        "optimizer: {learning_rate: 0.02}\n"
        "training: {epochs: 2, batch_size: 10, device: cpu}\n"
    )
    (folder / "my_small_model.py").write_text(MODEL)
    (folder / "suite.yaml").write_text(text)
    return folder / "suite.yaml"
