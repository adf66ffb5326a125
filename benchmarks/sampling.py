"""Shuffled against length-bucketed batches: speed, padding and F1 on MELD's text preset (TextMatching).

    python -m benchmarks.sampling --seeds 5 --record      # an hour or less on 2 cores, into benchmarks/results
    python -m benchmarks.sampling --seeds 1 --epochs 1 --repeats 1 --out runs/try    # whether it runs

Seconds are those of the optimizer steps of one epoch, without the evaluation on dev. Both orders take turns in one
process. The runs that give F1 begin afterwards. They stay under ``--out`` and can be resumed.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from benchmarks.results_files import write_result
from benchmarks.training import PACKAGES, RESULTS, System, machine, run_folder, summarise, train_all, warm_store

SAMPLINGS: tuple[Literal["shuffled"], Literal["bucketed"]] = ("shuffled", "bucketed")
PRESET = "meld-text"
CHANGES: Mapping[str, Any] = {"model.options.attention": "matching"}


def system_of(sampling: str, changes: Mapping[str, Any]) -> System:
    """TextMatching with one kind of sampling."""
    return System(
        key=f"sampling-{sampling}",
        variant=sampling,
        features="MiniLM",
        preset=PRESET,
        group="ablation",
        overrides={**CHANGES, **changes, "training.sampling": sampling},
    )


def shapes(lengths: Sequence[int], batch_size: int, sampling: str, seeds: Sequence[int], epochs: int) -> dict[str, Any]:
    """Over all epochs: the share of padded cells, and the steps of the recurrence in one epoch."""
    from dialogue_ser.batch.sampler import batches, bucketed, shuffled

    cells = longest = 0
    for seed in seeds:
        for epoch in range(1, epochs + 1):
            in_buckets = sampling == "bucketed"
            order = bucketed(lengths, batch_size, seed, epoch) if in_buckets else shuffled(len(lengths), seed, epoch)
            pieces = [[lengths[i] for i in piece] for piece in batches(order, batch_size)]
            cells += sum(len(piece) * max(piece) for piece in pieces)
            longest += sum(map(max, pieces))
    n_epochs = len(seeds) * epochs
    return {"padded_share": 1 - n_epochs * sum(lengths) / cells, "recurrence_steps": longest / n_epochs}


def timed_epochs(changes: Mapping[str, Any], threads: int) -> Generator[tuple[str, float], None, None]:
    """Yield, without end, the seconds of the optimizer steps of an epoch, with collating, for both kinds in turn."""
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.data.prepare import load_data
    from dialogue_ser.training.loop.devices import make_accelerator
    from dialogue_ser.training.loop.rng import seed_everything
    from dialogue_ser.training.loop.setup import build_learner, build_system, make_batches

    overrides = {**CHANGES, **changes, "training.threads": threads}
    config = apply_overrides(load_preset(PRESET), overrides)
    accelerator = make_accelerator(config.training)
    data = load_data(config)
    seed_everything(config.seed)
    learner = build_learner(config, data, build_system(config, data), accelerator)
    batches = make_batches(config, data, accelerator)
    for epoch in range(1, sys.maxsize):
        for sampling in SAMPLINGS:
            started = time.perf_counter()
            # always as the first step of all: the schedule must not end
            for step in replace(batches, sampling=sampling).steps(data.train, config.seed, epoch):
                learner.step(step, 0)
            yield sampling, time.perf_counter() - started


def seconds_per_epoch(repeats: int, changes: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Medians, all values, and the ratio of the medians. The first round is only a warm-up."""
    seconds: dict[str, list[float]] = {sampling: [] for sampling in SAMPLINGS}
    rounds = timed_epochs(changes, threads)
    for _ in range(repeats + 1):
        for _ in SAMPLINGS:
            sampling, value = next(rounds)
            seconds[sampling].append(value)
    rounds.close()
    values = {sampling: found[1:] for sampling, found in seconds.items()}
    ratios = [a / b for a, b in zip(values["shuffled"], values["bucketed"], strict=True)]
    return {
        "threads": threads,
        "median": {sampling: statistics.median(found) for sampling, found in values.items()},
        "values": values,
        "shuffled_vs_bucketed": statistics.median(ratios),
    }


def measure(args: argparse.Namespace, changes: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Measure the speed first, then train the runs."""
    from dialogue_ser.corpus.readers import read_corpus
    from dialogue_ser.evaluation.compare import compare
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset

    seeds = range(1, args.seeds + 1)
    systems = [system_of(sampling, changes) for sampling in SAMPLINGS]
    warm_store(systems)
    speed = seconds_per_epoch(args.repeats, changes, args.threads)
    print(json.dumps(speed, indent=1), flush=True)
    train_all(systems, seeds, args.out, args.workers)
    config = apply_overrides(load_preset(PRESET), {**CHANGES, **changes})
    lengths = [len(dialogue) for dialogue in read_corpus(config.data.reader, config.data.path).split(config.data.train)]
    sizes = (config.training.batch_size, seeds, config.training.epochs)
    rows = [
        {**summarise(system, seeds, args.out), **shapes(lengths, sizes[0], system.variant, *sizes[1:])}
        for system in systems
    ]
    of_shuffled, of_bucketed = ([run_folder(args.out, system, seed) for seed in seeds] for system in systems)
    return {
        "what": "TextMatching on MiniLM (preset meld-text), MELD: shuffled against length-bucketed batches",
        "protocol": "epoch chosen on dev weighted F1; seconds: optimizer steps of an epoch, interleaved, medians",
        "seeds": list(seeds),
        "command": command,
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "workers": args.workers,
        "seconds_per_epoch": speed,
        "rows": rows,
        "comparison": {split: compare(of_bucketed, of_shuffled, split).to_dict() for split in ("dev", "test")},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 … N")
    parser.add_argument("--epochs", type=int, help="fewer than the preset's, to try it")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the timed epochs; runs have one")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/sampling"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/sampling.json")
    args = parser.parse_args(argv)
    changes = {} if args.epochs is None else {"training.epochs": args.epochs}
    command = f"python -m benchmarks.sampling {' '.join(sys.argv[1:] if argv is None else argv)}".strip()
    result = measure(args, changes, command)
    from benchmarks.tables import sampling

    target = write_result(RESULTS if args.record else args.out, "sampling.json", result)
    print(f"{sampling(result)}\nwritten: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
