"""What the benchmarks that train share: a trained row, its runs, and their scores over seeds."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("dialogue-ser", "torch", "numpy", "transformers", "scikit-learn", "accelerate")


@dataclass(frozen=True, kw_only=True)
class System:
    """One trained row of a table.

    Args:
        key: name of its folder and of its entry in the results.
        variant: e.g. TextMatching, or the model's name.
        features: what it reads, in words.
        preset: run preset.
        overrides: dotted changes to the preset.
        group: where it stands in the table.
    """

    key: str
    variant: str
    features: str
    preset: str
    group: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


def run_folder(out: Path, system: System, seed: int) -> Path:
    """Where one seed of a system lies."""
    return out / system.key / f"seed{seed}"


def run_of(system: System, seed: int, out: Path) -> dict[str, Any]:
    """What :func:`~dialogue_ser.evaluation.suite.work.train_cell` needs to train one seed on one thread."""
    from dialogue_ser.training.config.files import config_to_dict
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset

    own = {"seed": seed, "name": system.key, "training.threads": 1, "save_attention": False}
    config = apply_overrides(load_preset(system.preset), {**system.overrides, **own})
    return {"config": config_to_dict(config), "folder": str(run_folder(out, system, seed).absolute())}


def train_one(system: System, seed: int, out: Path) -> None:
    """Train one seed in this process, or continue it, unless it is finished."""
    from dialogue_ser.evaluation.suite.work import train_cell

    train_cell(**run_of(system, seed, out))


def train_all(systems: Sequence[System], seeds: Sequence[int], out: Path, workers: int) -> None:
    """Train every seed of every system in several processes. All first seeds come before all second ones.

    Raises:
        RuntimeError: runs failed; the message has the reasons. The others are finished.
    """
    from dialogue_ser.many.engines import Processes
    from dialogue_ser.many.jobs import Job, fingerprint_of
    from dialogue_ser.many.progress import Shown
    from dialogue_ser.many.run_many import failures, run_many

    jobs = []
    for seed in seeds:
        for system in systems:
            payload = run_of(system, seed, out)
            jobs.append(
                Job(
                    key=f"{system.key}/seed{seed}",
                    target="dialogue_ser.evaluation.suite.work:train_cell",
                    payload=payload,
                    fingerprint=fingerprint_of(payload),
                    trusted=True,
                    is_complete=(run_folder(out, system, seed) / "predictions.parquet").is_file,
                )
            )
    failed = failures(run_many(jobs, out, Processes(workers), Shown("runs")))
    if failed:
        raise RuntimeError("\n".join(f"{key}: {why}" for key, why in failed.items()))


def warm_store(systems: Sequence[System]) -> None:
    """Encode once before the workers start, so that no worker waits for another one."""
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.data.prepare import load_data

    for preset in dict.fromkeys(system.preset for system in systems):
        load_data(apply_overrides(load_preset(preset), {"training.threads": 1}))


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
        "n_parameters": runs[0].summary["n_parameters"],
        "seconds": mean_std([run.summary["seconds"] for run in runs]).to_dict(),
        "best_epoch": [run.summary["best_epoch"] for run in runs],
        **{split: {k: v.to_dict() for k, v in aggregate(folders, split).items()} for split in ("dev", "test")},
        "test_f1_per_class": {
            label: mean_std([score.to_dict()["per_class"][label]["f1"] for score in scores]).to_dict()
            for label in tests[0].labels
        },
    }


def machine() -> dict[str, Any]:
    """The machine and its load."""
    return {"platform": platform.platform(), "cpu_count": os.cpu_count(), "python": platform.python_version()}
