"""A part: ten epochs of MELD text on the GPU beside the same ten on the CPU: losses and seconds.

Preset ``meld-text`` without dropout, whose random numbers differ between devices. Both begin with the same weights and
see the same batches, so their losses differ by rounding only, which training lets grow. The two engines of the
recurrence round differently as well: on one CPU their losses differed by 4e-9 in the first epoch and by 1e-4 in the
tenth, relatively. Allowed are 1e-4 and 1e-2.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.child import Part
from benchmarks.gpu.materials import meld_place, minilm_place
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.run import train

THREADS = 4
"""Of torch, on the CPU."""
ALLOWED = {"first": 1e-4, "last": 1e-2}


def config_for(device: str, meld: Path, epochs: int) -> RunConfig:
    """The preset, its MiniLM read from a folder."""
    preset = load_preset("meld-text")
    options = {**preset.features["text"].options, "model": str(minilm_place())}
    return apply_overrides(
        preset,
        {
            "data.path": str(meld),
            "features.text.encoder": "hf-text",
            "features.text.options": options,
            "model.options.dropout": 0.0,
            "model.options.input_dropout": 0.0,
            "training.epochs": epochs,
            "training.device": device,
            "training.threads": min(THREADS, torch.get_num_threads()),
            "save_attention": False,
        },
    )


def run(config: RunConfig, folder: Path, store: FeatureStore) -> dict[str, Any]:
    """Losses and seconds of a run, and what it says of test."""
    started = time.perf_counter()
    finished = train(config, folder, progress=False, store=store)
    epochs = RunFiles(folder).epochs
    return {
        "seconds": time.perf_counter() - started,
        "seconds_of_epochs": [row["seconds"] for row in epochs],
        "train_loss": [row["train_loss"] for row in epochs],
        "dev_loss": [row["dev_loss"] for row in epochs],
        "test_weighted_f1": finished.scores["test"]["weighted_f1"],
    }


def main() -> int:
    """Encode once, train on either device, compare."""
    part = Part(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        meld, store = meld_place(place / "meld", is_quick=part.is_quick), FeatureStore(place / "store")
        epochs = 2 if part.is_quick else 10
        started = time.perf_counter()
        data = load_data(config_for(part.device.type, meld, epochs), store)
        n_turns = sum(len(dialogue) for split in data.corpus.splits.values() for dialogue in split)
        part.found(encoding={"turns": n_turns, "seconds": time.perf_counter() - started})
        runs: dict[str, dict[str, Any]] = {}
        for name, device in {"device": part.device.type, "cpu": "cpu"}.items():  # the GPU first: the CPU takes longer
            runs[name] = run(config_for(device, meld, epochs), place / name, store)
            part.found(runs=runs)
    losses = [runs[name]["train_loss"] for name in ("device", "cpu")]
    found = {when: abs(losses[0][at] / losses[1][at] - 1) for when, at in (("first", 0), ("last", -1))}
    seconds = {name: sum(one["seconds_of_epochs"]) for name, one in runs.items()}
    told = f"train loss differs by {found['first']:.1e} after the first epoch and {found['last']:.1e} after the last"
    told += f"; {epochs} epochs: {seconds['device']:.1f} s on {part.device.type}, {seconds['cpu']:.1f} s on the CPU"
    part.found(relative_difference=found, allowed=ALLOWED, headline=told)
    return int(any(not found[when] <= allowed for when, allowed in ALLOWED.items()))


if __name__ == "__main__":
    raise SystemExit(main())
