"""EmoBank: valence, arousal and dominance. A ridge floor and two systems on frozen MiniLM, all chosen on dev.

    python -m benchmarks.emobank --seeds 3 --record     # into benchmarks/results/emobank.json

The benchmark can be resumed. Finished runs stay under ``--out``. An interrupted run continues from its checkpoint.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results_files import write_result
from benchmarks.training import PACKAGES, RESULTS, System, machine, run_folder, train_all

RIDGE = "emobank-minilm-ridge"
SYSTEMS = tuple(
    System(key=key, variant=variant, features="frozen MiniLM", preset=preset, group="emobank")
    for key, variant, preset in (
        ("hidden-layers", "hidden layer on mean vectors", "emobank-minilm"),
        ("gru-attention", "GRU with self-attention over tokens", "emobank-minilm-gru-attention"),
    )
)
SPLITS = ("dev", "test")


def ridge(out: Path) -> dict[str, Any]:
    """The floor: ridge regression on the same vectors. Dev chooses C; the model is not fitted again."""
    from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.training.config.presets import load_preset

    folder = out / "ridge"
    done = (folder / "scores.json").is_file()
    scores = RunFiles(folder).scores if done else cross_validate(load_preset(RIDGE), folder)
    [fold] = scores["folds"]
    return {
        "system": "ridge regression",
        "preset": RIDGE,
        "chosen": fold["chosen"],
        **{split: _plain(scores["dev" if split == "dev" else "pooled"]) for split in SPLITS},
    }


def summarise(system: System, seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Mean ± std over seeds of every metric on dev and test: the mean over dimensions, and each dimension."""
    from dialogue_ser.evaluation.selection import mean_std
    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.tasks import task_of

    runs = [RunFiles(run_folder(out, system, seed)) for seed in seeds]
    found: dict[str, Any] = {}
    for split in SPLITS:
        tables = [run.predictions.split(split) for run in runs]
        scores = [_plain(task_of(table).scores(table)) for table in tables]
        found[split] = {
            name: {key: mean_std([one[name][key] for one in scores]).to_dict() for key in scores[0][name]}
            for name in scores[0]
        }
    return {
        "system": system.variant,
        "key": system.key,
        "preset": system.preset,
        "seeds": list(seeds),
        "n_parameters": runs[0].summary["n_parameters"],
        "seconds": mean_std([run.summary["seconds"] for run in runs]).to_dict(),
        "best_epoch": [run.summary["best_epoch"] for run in runs],
        **found,
    }


def _plain(scores: dict[str, Any]) -> dict[str, dict[str, float]]:
    """``mean`` and every dimension → its metrics."""
    keys = ("ccc", "pearson_r", "mae", "mse")
    parts = {"mean": scores, **scores["per_dimension"]}
    return {name: {key: float(value[key]) for key in keys} for name, value in parts.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Fit the floor, train the systems, score them and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 … N")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/emobank"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/emobank.json")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    seeds, started = range(1, args.seeds + 1), time.monotonic()
    floor = ridge(args.out)  # also fills the feature store before the workers start
    train_all(SYSTEMS, seeds, args.out, args.workers)
    result = {
        "what": "EmoBank test, valence, arousal and dominance from single sentences",
        "protocol": "epoch and C chosen on dev by the mean CCC; mean ± std over seeds",
        "floor": floor,
        "systems": [summarise(system, seeds, args.out) for system in SYSTEMS],
        "machine": machine(),
        "workers": args.workers,
        "versions": {package: version(package) for package in PACKAGES},
        "command": f"python -m benchmarks.emobank {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
    }
    from benchmarks.page_tables.encoder_tables import emobank

    target = write_result(RESULTS if args.record else args.out, "emobank.json", result)
    print(f"{emobank(result)}\nwritten: {target}\n{(time.monotonic() - started) / 60:.1f} minutes in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
