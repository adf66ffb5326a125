"""A part: one epoch of MiniLM fine-tuned on MELD's utterances in bf16 (preset ``meld-text-minilm-finetuned``)."""

import math
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.gpu.child import Part
from benchmarks.gpu.materials import meld_place, minilm_place
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.run import train


def main() -> int:
    """Train, read the run's files."""
    part = Part(__doc__)
    preset = load_preset("meld-text-minilm-finetuned")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        options = {**preset.features["text"].options, "model": str(minilm_place())}
        overrides = {
            "data.path": str(meld_place(place / "meld", is_quick=part.is_quick)),
            "features.text.options": options,
            "training.epochs": 1,
            "training.checkpoint_every_steps": 0,
            "training.precision": "bf16",
            "training.device": part.device.type,
            "save_attention": False,
        }
        started = time.perf_counter()
        train(apply_overrides(preset, overrides), place / "run", progress=False)
        files = RunFiles(place / "run")
        (epoch,), summary = files.epochs, files.summary
        steps = [row for row in files.history if row["kind"] == "step"]
    found = {
        "seconds": time.perf_counter() - started,
        "seconds_of_epoch": epoch["seconds"],
        "steps": len(steps),
        "first_loss": steps[0]["loss"],
        "train_loss": epoch["train_loss"],
        "dev_loss": epoch["dev_loss"],
        "scores": summary["scores"],
        "peak_device_memory_gb": torch.cuda.max_memory_allocated() / 1e9 if part.is_cuda else None,
    }
    is_fine = all(math.isfinite(found[name]) for name in ("first_loss", "train_loss", "dev_loss"))
    told = f"{len(steps)} steps and dev in {epoch['seconds']:.1f} s; train loss {epoch['train_loss']:.3f}, "
    told += f"test weighted F1 {summary['scores']['test']['weighted_f1']:.3f}"
    part.found(**found, headline=told if is_fine else f"a loss is not finite; {told}")
    return int(not is_fine)


if __name__ == "__main__":
    raise SystemExit(main())
