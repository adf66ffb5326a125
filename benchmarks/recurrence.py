"""Speed of EmotionRNN's recurrence on MELD's shapes: ``python -m benchmarks.recurrence [--record]``.

Train step (forward and backward) over batches whose dialogue lengths and speakers are MELD's, with 600-d inputs: our
two engines, and torch's bidirectional GRU with as many multiply-adds over the same packed turns. Interleaved in one
process; medians and ratios, because absolute times mean nothing on a shared machine.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.sampler import batches, shuffled
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.nn.layout import build_layout
from dialogue_ser.nn.recurrence import EmotionRecurrence

RESULTS = Path(__file__).parent / "results" / "recurrence.json"
INPUT_DIM = 600


def meld_batches(n_batches: int, batch_size: int) -> list[DialogueBatch]:
    """Batches of MELD train as the trainer would draw them (the sample corpus where MELD is absent)."""
    from dialogue_ser.errors import MissingDataError

    try:
        corpus = read_corpus("meld")
    except MissingDataError:
        corpus = read_corpus("sample")
    dialogues = corpus.split("train")
    pieces = batches(shuffled(len(dialogues), seed=1, epoch=0), batch_size)[:n_batches]
    return [collate([dialogues[i] for i in piece], {}, corpus.label_set) for piece in pieces]


def multiply_adds(engine: EmotionRecurrence, batch: DialogueBatch) -> int:
    """Of one forward pass over a batch, projections of x included, pointwise work and attention left out."""
    layout = build_layout(batch.speaker, batch.n_turns, bidirectional=True)
    g, p, e, d = engine.global_dim, engine.party_dim, engine.emotion_dim, INPUT_DIM
    turn = 3 * g * (d + 2 * p + g)  # GRU_G
    turn += engine.n_cells * 3 * p * (d + g) + engine.n_cells * 3 * p * 2 * g  # inputs of the self and inter cells
    turn += 2 * 3 * p * p  # the speaker's own states
    turn += 3 * e * (g + d + p + e)  # GRU_E
    listener = 2 * 3 * p * p * (engine.n_cells - 1)
    return 2 * (layout.n_rows * turn + layout.n_listener_updates * listener)


def equal_gru(target: int, n_turns: int) -> nn.GRU:
    """The bidirectional GRU whose multiply-adds come nearest."""

    def cost(hidden: int) -> int:
        return 2 * n_turns * 3 * hidden * (INPUT_DIM + hidden)

    hidden = min(range(8, 2000), key=lambda size: abs(cost(size) - target))
    return nn.GRU(INPUT_DIM, hidden, bidirectional=True, batch_first=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS}")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    data = meld_batches(args.batches, 30)
    inputs = [torch.randn(*batch.speaker.shape, INPUT_DIM) for batch in data]
    engines = {
        name: EmotionRecurrence(INPUT_DIM, dropout=0.1, engine=name)  # type: ignore[arg-type]
        for name in ("manual", "autograd")
    }
    work = sum(multiply_adds(engines["manual"], batch) for batch in data)
    gru = equal_gru(work, sum(int(batch.n_turns.sum()) for batch in data))

    def ours(engine: EmotionRecurrence) -> Callable[[DialogueBatch, Tensor], Tensor]:
        return lambda batch, x: engine(x, batch.speaker, batch.n_turns)[0].sum()

    def packed(batch: DialogueBatch, x: Tensor) -> Tensor:
        output: Tensor = gru(pack_padded_sequence(x, batch.n_turns, batch_first=True, enforce_sorted=False))[0].data
        return output.sum()

    candidates = {**{name: ours(engine) for name, engine in engines.items()}, "equal-work nn.GRU": packed}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(args.repeats + 1):
        for name, forward in candidates.items():
            started = time.perf_counter()
            for batch, x in zip(data, inputs, strict=True):
                forward(batch, x).backward()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first round warms up
    result = {
        "what": f"train step over {args.batches} MELD batches of 30 dialogues, {INPUT_DIM}-d, EmotionRNN defaults",
        "machine": {"platform": platform.platform(), "cpu_count": os.cpu_count(), "threads": args.threads},
        "versions": {"torch": torch.__version__},
        "command": "python -m benchmarks.recurrence --record",
        "multiply_adds": work,
        "gru_hidden": gru.hidden_size,
        "rows": [
            {"engine": name, "seconds": median, "ratio to nn.GRU": median / medians["equal-work nn.GRU"]}
            for name, median in medians.items()
        ],
    }
    print(json.dumps(result, indent=1))
    if args.record:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
