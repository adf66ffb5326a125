"""MELD test, chosen on dev, several seeds: every EmotionRNN variant, the floors and the source document's settings.

    python -m benchmarks.meld --seeds 1                    # the table's shape, without source-*, under an hour
    python -m benchmarks.meld --seeds 5 --source --record  # the whole table, into benchmarks/results/meld.json

Resumable: finished runs are kept under ``--out``, an interrupted one goes on from its checkpoint.
"""

import argparse
import json
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

from benchmarks.systems import SYSTEMS, System

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("dialogue-ser", "torch", "numpy", "transformers", "scikit-learn", "accelerate")


def run_folder(out: Path, system: System, seed: int) -> Path:
    """Where one seed of a system lies."""
    return out / system.key / f"seed{seed}"


def train_one(system: System, seed: int, out: Path) -> tuple[str, float]:
    """Train (or resume, or find finished) one seed on one thread; gives its test weighted F1."""
    import torch

    from dialogue_ser.training.config_io import apply_overrides
    from dialogue_ser.training.presets import load_preset
    from dialogue_ser.training.run import train

    torch.set_num_threads(1)
    folder = run_folder(out, system, seed)
    config = apply_overrides(
        load_preset(system.preset),
        {**system.overrides, "seed": seed, "name": system.key, "training.threads": 1, "save_attention": False},
    )
    run = train(config, folder, resume=(folder / "config.yaml").exists(), progress=False)
    return f"{system.key} seed {seed}", run.scores["test"]["weighted_f1"]


def warm_store(systems: Sequence[System]) -> None:
    """Encode once, before the workers start, so that none waits for another."""
    from dialogue_ser.training.config_io import apply_overrides
    from dialogue_ser.training.prepare import load_data
    from dialogue_ser.training.presets import load_preset

    for preset in dict.fromkeys(system.preset for system in systems):
        load_data(apply_overrides(load_preset(preset), {"training.threads": 1}))


def train_all(systems: Sequence[System], seeds: Sequence[int], out: Path, workers: int) -> None:
    """Every seed of every system, the first seed of all before the second; some processes side by side."""
    jobs = [(system, seed) for seed in seeds for system in systems]
    started, done = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(train_one, system, seed, out) for system, seed in jobs]
        for future in as_completed(waiting):
            name, f1 = future.result()
            done += 1
            minutes = (time.monotonic() - started) / 60
            print(f"[{done}/{len(jobs)}] {minutes:5.1f} min  {name}: test weighted F1 {f1:.4f}", flush=True)


def summarise(system: System, seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Mean ± std over seeds of every metric on dev and test, per class F1 on test, cost."""
    from dialogue_ser.evaluation.protocols import aggregate, mean_std
    from dialogue_ser.metrics.run_files import RunFiles
    from dialogue_ser.metrics.scores import from_confusion

    folders = [run_folder(out, system, seed) for seed in seeds]
    runs = [RunFiles(folder) for folder in folders]
    tests = [run.predictions.split("test") for run in runs]
    scores = [from_confusion(test.confusions().sum(0), test.labels) for test in tests]
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
    """Majority, TF-IDF and linear probes on the frozen features the presets use (EQUATIONS.md E6)."""
    from dialogue_ser.evaluation.floors import linear_probe, majority, tfidf_logistic
    from dialogue_ser.metrics.predictions import Predictions
    from dialogue_ser.metrics.run_files import RunFiles
    from dialogue_ser.metrics.scores import METRICS, metric_values
    from dialogue_ser.training.prepare import load_data
    from dialogue_ser.training.presets import load_preset

    turns = RunFiles(run_folder(out, next(s for s in SYSTEMS if s.key == "text-matching"), seed)).predictions

    def rows(preset: str, modality: str) -> dict[str, Any]:
        return dict(load_data(load_preset(preset)).tables[modality].rows)

    def entry(name: str, features: str, predictions: Predictions) -> dict[str, Any]:
        scores = {}
        for split in ("dev", "test"):
            values = metric_values(predictions.split(split).confusions().sum(0))
            scores[split] = {metric: float(values[metric]) for metric in METRICS}
        return {"floor": name, "features": features, **scores}

    return [
        entry("majority", "none", majority(turns)),
        entry("TF-IDF + logistic regression", "words", tfidf_logistic(turns)),
        entry("linear probe", "MiniLM", linear_probe(turns, rows("meld-text", "text"))),
        entry("linear probe", "Praat", linear_probe(turns, rows("meld-audio", "audio"))),
    ]


def comparisons(out: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Paired intervals over dialogues and seeds: audio+text against text, EmotionRNN against the speaker-blind."""
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
    """What it ran on."""
    return {"platform": platform.platform(), "cpu_count": os.cpu_count(), "python": platform.python_version()}


def main(argv: Sequence[str] | None = None) -> int:
    """Train, score, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 … N")
    parser.add_argument("--source", action="store_true", help="also the source document's settings (source-*)")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/meld"), help="where the runs lie")
    parser.add_argument("--only", nargs="*", default=(), metavar="KEY", help="train just these systems, no table")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/meld.json")
    args = parser.parse_args(argv)
    seeds = range(1, args.seeds + 1)
    systems = [s for s in SYSTEMS if (args.source or s.group != "source") and (not args.only or s.key in args.only)]
    started = time.monotonic()
    warm_store(systems)
    train_all(systems, seeds, args.out, args.workers)
    if args.only:
        return 0
    rows = [summarise(system, seeds, args.out) for system in systems]
    result = {
        "what": "MELD test, 7 emotions (3 sentiments in group sentiment), epoch chosen on dev weighted F1",
        "protocol": "dev",
        "seeds": list(seeds),
        "command": f"python -m benchmarks.meld {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "minutes_of_training": sum(sum(row["seconds"]["values"]) for row in rows) / 60,
        "minutes_of_this_call": (time.monotonic() - started) / 60,
        "workers": args.workers,
        "systems": rows,
        "floors": floors(args.out, seeds[0]),
        "comparisons": comparisons(args.out, seeds),
    }
    target = RESULTS / "meld.json" if args.record else args.out / "results.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    from benchmarks.tables import meld

    print(meld(result))
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
