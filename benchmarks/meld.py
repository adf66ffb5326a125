"""MELD test, chosen on dev, several seeds: every variant of EmotionRNN, the floors, the settings of its document.

    python -m benchmarks.meld --seeds 1                                       # the main table's shape, under an hour
    python -m benchmarks.meld --seeds 5 --tables main source ablation --record  # all of it, into benchmarks/results

The benchmark can be resumed. Finished runs stay under ``--out``. An interrupted run continues from its checkpoint.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results_files import write_result
from benchmarks.systems import SYSTEMS, System

RESULTS = Path(__file__).parent / "results"
TABLES = {
    "main": ("emotion-rnn", "dialogue-rnn", "speaker-blind", "sentiment"),
    "source": ("source",),
    "ablation": ("ablation",),
}
PACKAGES = ("dialogue-ser", "torch", "numpy", "transformers", "scikit-learn", "accelerate")


def run_folder(out: Path, system: System, seed: int) -> Path:
    """Where one seed of a system lies."""
    return out / system.key / f"seed{seed}"


def train_one(system: System, seed: int, out: Path) -> tuple[str, float]:
    """Train one seed on one thread, unless it is finished. Return its name and the selection metric on test."""
    import torch

    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.run import train

    torch.set_num_threads(1)
    folder = run_folder(out, system, seed)
    config = apply_overrides(
        load_preset(system.preset),
        {**system.overrides, "seed": seed, "name": system.key, "training.threads": 1, "save_attention": False},
    )
    run = train(config, folder, resume=(folder / "config.yaml").exists(), progress=False)
    select = str(run.config.training.select)
    return f"{system.key} seed {seed}: test {select}", run.scores["test"][select]


def warm_store(systems: Sequence[System]) -> None:
    """Encode once before the workers start, so that no worker waits for another one."""
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.data.prepare import load_data

    for preset in dict.fromkeys(system.preset for system in systems):
        load_data(apply_overrides(load_preset(preset), {"training.threads": 1}))


def train_all(systems: Sequence[System], seeds: Sequence[int], out: Path, workers: int) -> None:
    """Train every seed of every system in several processes. All first seeds come before all second ones."""
    jobs = [(system, seed) for seed in seeds for system in systems]
    started, done = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(train_one, system, seed, out) for system, seed in jobs]
        for future in as_completed(waiting):
            name, score = future.result()
            done += 1
            minutes = (time.monotonic() - started) / 60
            print(f"[{done}/{len(jobs)}] {minutes:5.1f} min  {name} {score:.4f}", flush=True)


def summarise(system: System, seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Mean ± std over seeds of every metric on dev and test, F1 of each class on test, and the cost."""
    from dialogue_ser.evaluation.selection import aggregate, mean_std
    from dialogue_ser.metrics.scores import scores_from_confusion
    from dialogue_ser.runs.run_files import RunFiles

    folders = [run_folder(out, system, seed) for seed in seeds]
    runs = [RunFiles(folder) for folder in folders]
    tests = [run.predictions.split("test") for run in runs]
    scores = [scores_from_confusion(test.confusions().sum(0), test.labels) for test in tests]
    return {
        "key": system.key,
        "variant": system.variant,
        "features": system.features,
        "group": system.group,
        "preset": system.preset,
        "overrides": dict(system.overrides),
        "published": system.published,
        "n_parameters": runs[0].summary["n_parameters"],
        "seconds": mean_std([run.summary["seconds"] for run in runs]).to_dict(),
        "best_epoch": [run.summary["best_epoch"] for run in runs],
        **{split: {k: v.to_dict() for k, v in aggregate(folders, split).items()} for split in ("dev", "test")},
        "test_f1_per_class": {
            label: mean_std([score.to_dict()["per_class"][label]["f1"] for score in scores]).to_dict()
            for label in tests[0].labels
        },
    }


def floors(out: Path, seed: int) -> list[dict[str, Any]]:
    """The floors: majority, TF-IDF, and linear probes on the frozen features of the presets (docs/equations.md)."""
    from dialogue_ser.evaluation.floors import linear_probe, majority, tfidf_logistic
    from dialogue_ser.metrics.predictions import Predictions
    from dialogue_ser.metrics.table import METRICS
    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.tasks.classification import Classification
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.data.prepare import load_data

    turns = RunFiles(run_folder(out, next(s for s in SYSTEMS if s.key == "text-matching"), seed)).predictions

    def rows(preset: str, modality: str) -> dict[str, Any]:
        return dict(load_data(load_preset(preset)).tables[modality].rows)

    def entry(name: str, features: str, predictions: Predictions) -> dict[str, Any]:
        scores = {
            split: {key: predictions.split(split).value(METRICS[key]) for key in Classification.headline}
            for split in ("dev", "test")
        }
        return {"floor": name, "features": features, **scores}

    return [
        entry("majority", "none", majority(turns)),
        entry("TF-IDF + logistic regression", "words", tfidf_logistic(turns)),
        entry("linear probe", "MiniLM", linear_probe(turns, rows("meld-text", "text"))),
        entry("linear probe", "Praat", linear_probe(turns, rows("meld-audio", "audio"))),
    ]


def comparisons(out: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Paired intervals over dialogues and seeds: audio and text against text, EmotionRNN against BiGRU."""
    from dialogue_ser.evaluation.compare import compare

    by_key = {system.key: system for system in SYSTEMS}
    pairs = [(f"audio-text-{kind}", f"text-{kind}") for kind in ("simple", "matching")]
    pairs += [(f"audio-textcnn-{kind}", f"textcnn-{kind}") for kind in ("simple", "matching")]
    pairs += [
        (f"{what}-{kind}", f"bigru-{what}")
        for what in ("audio", "text", "audio-text")
        for kind in ("simple", "matching")
    ]
    return [
        {
            "a": a,
            "b": b,
            **compare(*([run_folder(out, by_key[key], seed) for seed in seeds] for key in (a, b))).to_dict(),
        }
        for a, b in pairs
    ]


def machine() -> dict[str, Any]:
    """The machine and its load."""
    return {"platform": platform.platform(), "cpu_count": os.cpu_count(), "python": platform.python_version()}


def table_of(name: str, seeds: Sequence[int], out: Path, workers: int, command: str) -> dict[str, Any]:
    """The content of one result file. All runs must be finished."""
    rows = [summarise(system, seeds, out) for system in SYSTEMS if system.group in TABLES[name]]
    result = {
        "what": f"MELD test, table {name}: 7 emotions (group sentiment: 3), epoch chosen on dev weighted F1",
        "protocol": "dev",
        "seeds": list(seeds),
        "command": command,
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "minutes_of_training": sum(sum(row["seconds"]["values"]) for row in rows) / 60,
        "workers": workers,
        "systems": rows,
    }
    if name == "main":
        result |= {"floors": floors(out, seeds[0]), "comparisons": comparisons(out, seeds)}
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Train the systems, score and compare them, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 … N")
    parser.add_argument("--tables", nargs="+", choices=tuple(TABLES), default=["main"])
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/meld"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/meld*.json")
    args = parser.parse_args(argv)
    seeds = range(1, args.seeds + 1)
    groups = {group for name in args.tables for group in TABLES[name]}
    systems = [system for system in SYSTEMS if system.group in groups]
    started = time.monotonic()
    warm_store(systems)
    train_all(systems, seeds, args.out, args.workers)
    from benchmarks.tables import meld

    command = f"python -m benchmarks.meld {' '.join(sys.argv[1:] if argv is None else argv)}".strip()
    for name in args.tables:
        result = table_of(name, seeds, args.out, args.workers, command)
        file_name = "meld.json" if name == "main" else f"meld-{name}.json"
        target = write_result(RESULTS if args.record else args.out, file_name, result)
        print(f"{meld(result)}\nwritten: {target}\n")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
