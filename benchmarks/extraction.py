"""How fast encoders make features: MELD texts through MiniLM, and encoders with 1 and 2 workers.

    python -m benchmarks.extraction --record             # some minutes on 2 quiet cores, into benchmarks/results
    python -m benchmarks.extraction --texts 500 --clips 40    # whether it runs

The benchmark counts the multiply-adds of the linear layers and of attention for real tokens only. Texts of equal length
form a batch, so there is no padding. The throughput is compared with that of one large matrix product, measured in the
same process with the same number of threads. The parts show where the time goes: the same products alone, the rest
of the forward pass, tokenising, the store. Every run of workers starts with an empty store and includes the start of
the workers.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.results_files import write_result
from benchmarks.speed.contest import load_average, machine
from benchmarks.training import RESULTS
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.engines import Engine, WorkerProcesses
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.work_units import split_into_units

PACKAGES = ("dialogue-ser", "torch", "transformers", "opensmile", "ray")
BATCH = 64
PEAK_SIZE = 2048


def multiply_adds(n_tokens: int, hidden: int, intermediate: int, layers: int) -> int:
    """Multiply-adds for one text: the linear layers of a transformer encoder and the two products of attention.

    >>> multiply_adds(10, 4, 16, 1) == 10 * (4 * 16 + 2 * 64) + 2 * 10 * 10 * 4
    True
    """
    linear = n_tokens * (4 * hidden * hidden + 2 * hidden * intermediate)
    return layers * (linear + 2 * n_tokens * n_tokens * hidden)


def batch_shapes(lengths: Sequence[int], batch: int = BATCH) -> Counter[tuple[int, int]]:
    """(texts, tokens) of every forward pass over one unit's texts, as ``hf-text`` batches them.

    >>> batch_shapes([3, 5, 3, 3], batch=2)
    Counter({(2, 3): 1, (1, 3): 1, (1, 5): 1})
    """
    shapes: Counter[tuple[int, int]] = Counter()
    for n_tokens, n_texts in Counter(lengths).items():
        shapes[batch, n_tokens] += n_texts // batch
        shapes[n_texts % batch, n_tokens] += 1
    return Counter({shape: n for shape, n in shapes.items() if n and shape[0]})


def seconds_of(work: Callable[[], object], repeats: int = 1) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def peak_multiply_adds(size: int = PEAK_SIZE) -> float:
    """Multiply-adds per second of a square product in single precision, the best of several runs."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return size**3 / seconds_of(lambda: a @ b, repeats=8)


def products_alone(shapes: Mapping[tuple[int, int], int], hidden: int, intermediate: int, layers: int) -> float:
    """Seconds for the products of the linear layers of all batches, without anything else."""
    weights = [torch.randn(hidden, hidden) for _ in range(4)] + [torch.randn(intermediate, hidden)]
    back = torch.randn(hidden, intermediate)
    total = 0.0
    for (n_texts, n_tokens), n in shapes.items():
        x, y = torch.randn(n_texts * n_tokens, hidden), torch.randn(n_texts * n_tokens, intermediate)

        def once(x: torch.Tensor = x, y: torch.Tensor = y) -> None:
            for weight in weights:
                torch.nn.functional.linear(x, weight)
            torch.nn.functional.linear(y, back)

        total += n * layers * seconds_of(once, repeats=3)
    return total


def texts(dialogues: Sequence[Dialogue], repeats: int) -> dict[str, Any]:
    """Utterances per second of MiniLM, its share of the machine's throughput, and where the other time goes."""
    encoder = build_encoder("minilm", "text")
    turns = [turn for turn in utterances(dialogues) if turn.text is not None]
    tokenise = seconds_of(lambda: encoder.costs(turns), repeats=2)
    encoder.encode(dialogues[:2])  # loads the model
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            store = FeatureStore(folder)
            runs.append(seconds_of(lambda store=store: store.table(encoder, dialogues, progress=False)))
            (entry,) = store.entries()
    wanted = {turn.id for turn in {turn.text: turn for turn in turns}.values()}  # equal texts are encoded once
    pieces = list(split_into_units(encoder, dialogues, wanted))
    in_model = seconds_of(lambda: [encoder.encode(unit.dialogues) for unit in pieces], repeats=repeats)
    lengths = [encoder.costs([turn for d in unit.dialogues for turn in d]) for unit in pieces]
    size = (384, 1536, 6)
    shapes = sum(map(batch_shapes, lengths), Counter[tuple[int, int]]())
    work = sum(multiply_adds(n, *size) for some in lengths for n in some)
    peak, wall = peak_multiply_adds(), min(runs)
    alone = products_alone(shapes, *size)
    tokenised = tokenise * entry.n_utterances / len(turns)
    parts = {
        "products of the linear layers, alone": alone,
        "rest of the forward pass (attention, softmax, GELU, norms, pooling)": in_model - tokenised - alone,
        "tokenising, twice (to sort, to encode)": 2 * tokenised,
        "store (hashes, shards, index, reading back)": wall - in_model - tokenised,
    }
    return {
        "utterances": len(turns),
        "encoded": entry.n_utterances,
        "tokens": sum(map(sum, lengths)),
        "batches": sum(shapes.values()),
        "threads": torch.get_num_threads(),
        "seconds": wall,
        "all_seconds": runs,
        "utterances_per_second": len(turns) / wall,
        "encoded_per_second": entry.n_utterances / wall,
        "multiply_adds": work,
        "multiply_adds_per_second": work / wall,
        "peak_multiply_adds_per_second": peak,
        "fraction_of_peak": work / wall / peak,
        "fraction_of_peak_products_alone": sum(multiply_adds_linear(some, *size) for some in lengths) / alone / peak,
        "parts_seconds": parts,
    }


def multiply_adds_linear(lengths: Sequence[int], hidden: int, intermediate: int, layers: int) -> int:
    """Multiply-adds of the linear layers only."""
    return layers * sum(lengths) * (4 * hidden * hidden + 2 * hidden * intermediate)


def workers(
    encoder: CheckedEncoder, dialogues: Sequence[Dialogue], what: str, engines: Mapping[str, Engine]
) -> list[Any]:
    """Seconds that each engine takes, starting with an empty store."""
    rows = []
    reference: Mapping[str, Any] | None = None
    for name, engine in engines.items():
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            found = FeatureStore(folder, engine=engine).table(encoder, dialogues, progress=False)
            seconds = time.perf_counter() - started
            rows_now = {key: row.tobytes() for key, row in found.items()}
        reference = reference or rows_now
        rows.append(
            {
                "what": what,
                "engine": name.rpartition(" ")[0],
                "workers": int(name.rpartition(" ")[2]),
                "utterances": len(rows_now),
                "seconds": seconds,
                "utterances_per_second": len(rows_now) / seconds,
                "same_bits_as_first": rows_now == reference,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def engines() -> dict[str, Engine]:
    """The engines to measure: 1 and 2 processes, and 1 and 2 actors of Ray if it is installed."""
    found: dict[str, Engine] = {f"processes {n}": WorkerProcesses(n) for n in (1, 2)}
    try:
        version("ray")
    except PackageNotFoundError:
        return found
    from dialogue_ser.features.store.ray_engine import RayEngine

    return {**found, **{f"ray {n}": RayEngine(n) for n in (1, 2)}}


def first(dialogues: Sequence[Dialogue], n: int | None) -> list[Dialogue]:
    """The first dialogues, with about ``n`` utterances together; None = all."""
    kept: list[Dialogue] = []
    for dialogue in dialogues:
        if n is not None and sum(map(len, kept)) >= n:
            break
        kept.append(dialogue)
    return kept


def measure(args: argparse.Namespace, command: str) -> dict[str, Any]:
    """Measure everything, the single process first."""
    corpora = {name: read_corpus(name) for name in ("meld", "nemo")}
    said = {name: [d for some in corpus.splits.values() for d in some] for name, corpus in corpora.items()}
    said = {"meld": first(said["meld"], args.texts), "nemo": first(said["nemo"], args.clips)}
    of_machine = machine(torch.device("cpu"))
    alone = texts(said["meld"], args.repeats)
    print(json.dumps(alone, indent=1), flush=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # a worker has one core, whether there are one or two of them
    rows = workers(
        build_encoder("opensmile", "audio", {"feature_set": "eGeMAPSv02"}), said["nemo"], "eGeMAPSv02, nEMO", engines()
    )
    rows += workers(build_encoder("minilm", "text"), first(said["meld"], args.worker_texts), "minilm, MELD", engines())
    return {
        "what": "Extraction: MiniLM on all of MELD's texts in one process; openSMILE and MiniLM with 1 and 2 workers",
        "command": command,
        "machine": {**of_machine, "load_average_after": load_average()},
        "versions": {name: _version(name) for name in PACKAGES},
        "texts": alone,
        "workers": rows,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, help="only about so many of MELD's utterances, to try it")
    parser.add_argument("--clips", type=int, help="only about so many of nEMO's clips")
    parser.add_argument("--worker-texts", type=int, default=4000, help="MELD utterances of the runs with workers")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the single process; the fastest counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads of the single process")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the result goes without --record")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/extraction.json")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    command = f"python -m benchmarks.extraction {' '.join(sys.argv[1:] if argv is None else argv)}".strip()
    result = measure(args, command)
    target = write_result(RESULTS if args.record else args.out, "extraction.json", result)
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
