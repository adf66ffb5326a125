"""Speed of every registered model on dialogues shaped like MELD's: ``python -m benchmarks.speed [--record]``.

Batches are random vectors (32 dialogues of 1–24 turns, 384 features), so that only the models are measured: one
training step is forward, loss and backward; one prediction is a forward pass without gradients. The median counts.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.features.api import FeatureTable, InputSpec
from dialogue_ser.models import MODELS, build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.nn.losses import masked_nll
from dialogue_ser.report.tables import render_rich

LABELS = LabelSet("emotion", ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"))
DIM, N_DIALOGUES, MOST_TURNS, MOST_SPEAKERS = 384, 32, 24, 5
RESULT = Path(__file__).parent / "results" / "speed.json"


def random_batch(seed: int = 0) -> DialogueBatch:
    """One batch of labelled random dialogues."""
    rng = np.random.default_rng(seed)
    dialogues, rows = [], {}
    for d in range(N_DIALOGUES):
        turns = []
        for t in range(int(rng.integers(1, MOST_TURNS + 1))):
            turn = Utterance(
                id=f"d{d}_u{t}", speaker=str(rng.integers(MOST_SPEAKERS)), label=str(rng.choice(LABELS.labels))
            )
            rows[turn.id] = rng.standard_normal(DIM).astype(np.float32)
            turns.append(turn)
        dialogues.append(Dialogue(f"d{d}", tuple(turns)))
    return collate(dialogues, {"text": FeatureTable(InputSpec(kind="vector", dim=DIM), rows)}, LABELS)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median duration of a call, after one that is not counted."""
    function()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def measure(name: str, batch: DialogueBatch, repeats: int) -> dict[str, object]:
    """One row: milliseconds and turns per second of a model with its default options."""
    torch.manual_seed(0)
    model: DialogueSystem = build_model(name, {}, {"text": InputSpec(kind="vector", dim=DIM)}, len(LABELS))

    def step() -> None:
        model.train().zero_grad()
        numerator, denominator = masked_nll(model(batch).log_probs_BTC, batch.label)
        (numerator / denominator).backward()

    @torch.inference_mode()
    def predict() -> None:
        model.eval()(batch)

    train, infer = median_seconds(step, repeats), median_seconds(predict, repeats)
    n_turns = int(batch.n_turns.sum())
    return {
        "model": name,
        "parameters": sum(value.numel() for value in model.parameters()),
        "train ms": round(1e3 * train, 2),
        "train turns/s": round(n_turns / train),
        "predict ms": round(1e3 * infer, 2),
        "predict turns/s": round(n_turns / infer),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every model; with --record, keep the rows in benchmarks/results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    batch = random_batch()
    rows = [measure(name, batch, args.repeats) for name in MODELS]
    Console().print(render_rich(rows, title=f"{int(batch.n_turns.sum())} turns a batch, {args.threads} thread(s)"))
    if args.record:
        machine = {"processor": platform.processor(), "cpu_count": os.cpu_count(), "threads": args.threads}
        result = {"machine": machine, "torch": torch.__version__, "rows": rows}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
