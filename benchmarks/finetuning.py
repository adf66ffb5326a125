"""Text encoders trained on MELD: utterances alone, behind past turns, under EmotionRNN.

    python -m benchmarks.finetuning --seeds 3 --record     # some hours on 2 cores, into benchmarks/results
    python -m benchmarks.finetuning --seeds 1 --systems finetuned

The benchmark can be resumed. Finished runs stay under ``--out``. An interrupted run continues from its checkpoint.
Products are computed in bf16 if the processor multiplies bf16 natively (AMX, avx512_bf16). ``--precision`` overrides
this.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.training import PACKAGES, RESULTS, System, machine, summarise, train_all

FINETUNED = "meld-text-minilm-finetuned"
#: Folds over train of the cross-fitted features.
FOLDS = 5
#: What turns the preset of E1's text branch into EmotionRNN over that branch.
UNDER_EMOTION_RNN: Mapping[str, Any] = {
    "model.name": "emotion-rnn",
    "model.options": {
        "attention": "matching",
        "head_input": "emotion+turn",
        "projection": {"text": 128},
        "input_dropout": 0.5,
        "dropout": 0.2,
        "global_dim": 100,
        "party_dim": 100,
        "emotion_dim": 100,
        "hidden_dim": 100,
    },
    "training.epochs": 5,
}
#: Runs that take long are made with fewer seeds.
MOST_SEEDS = {"context": 1, "end-to-end": 2}


def systems(out: Path, precision: str) -> tuple[System, ...]:
    """The rows of the table. Rows called ``cross-fitted`` read the files of :func:`cross_fit_all`."""
    path = {"path": str(features_file(out).resolve())}

    def branch(key: str, variant: str, **overrides: Any) -> System:
        """The text branch of E1: a trained GRU with self-attention on the token states of frozen MiniLM."""
        changes = {"training.precision": precision, **overrides}
        return System(
            key=key,
            variant=variant,
            features="MiniLM's tokens through a GRU with self-attention",
            preset="meld-text-gru-attention",
            group="finetuned",
            overrides=changes,
        )

    def tuned(key: str, variant: str, preset: str, **overrides: Any) -> System:
        changes = {"training.precision": precision, **overrides}
        return System(
            key=key, variant=variant, features="MiniLM, fine-tuned", preset=preset, group="finetuned", overrides=changes
        )

    return (
        branch("gru-attention", "utterance alone"),
        branch("gru-attention-emotion-rnn", "TextMatching, trained together", **UNDER_EMOTION_RNN),
        tuned("finetuned", "utterance alone", FINETUNED),
        tuned("context", "behind 5 past turns", "meld-text-minilm-context"),
        tuned("end-to-end", "TextMatching, trained together", "meld-text-minilm-end-to-end"),
        System(
            key="cross-fitted",
            variant="TextMatching on cross-fitted vectors",
            features="MiniLM, fine-tuned",
            preset="meld-text",
            group="finetuned",
            overrides={"features.text.encoder": "precomputed", "features.text.options": path},
        ),
        System(
            key="cross-fitted-frozen",
            variant="TextMatching on cross-fitted and frozen vectors",
            features="MiniLM, fine-tuned and frozen",
            preset="meld-text",
            group="finetuned",
            overrides={
                "features.finetuned.encoder": "precomputed",
                "features.finetuned.options": path,
                "features.finetuned.transforms": ("standardise",),
                "model.options.projection": {"text": 64, "finetuned": 64},
            },
        ),
    )


def features_file(out: Path) -> Path:
    """File of vectors. A model that has not seen the dialogue of a train utterance encodes it."""
    return out / "finetuned.parquet"


def cross_fit_all(out: Path, precision: str) -> float:
    """Fine-tune once per fold and once on all of train, unless this is done. Return all minutes of training."""
    from dialogue_ser.evaluation.out_of_fold import cross_fit
    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset

    if not features_file(out).exists():
        overrides = {"training.precision": precision, "training.threads": 1, "save_attention": False}
        cross_fit(apply_overrides(load_preset(FINETUNED), overrides), features_file(out), n_folds=FOLDS)
    folders = [path for path in features_file(out).with_suffix(".folds").iterdir() if path.is_dir()]
    return float(sum(RunFiles(folder).summary["seconds"] for folder in folders)) / 60


def default_precision() -> str:
    """bf16 if one core multiplies it faster than float32."""
    import torch

    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no"


def main(argv: Sequence[str] | None = None) -> int:
    """Train the systems, score them and write the result."""
    keys = [system.key for system in systems(Path(), "no")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help=f"seeds 1 … N (fewer: {MOST_SEEDS})")
    parser.add_argument("--systems", nargs="+", choices=keys, default=keys)
    parser.add_argument("--precision", choices=("no", "bf16"), default=None)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/finetuning"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/finetuning.json")
    args = parser.parse_args(argv)
    precision = args.precision or default_precision()
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = [system for system in systems(args.out, precision) if system.key in args.systems]
    started = time.monotonic()
    minutes = (
        cross_fit_all(args.out, precision) if any(key.startswith("cross-fitted") for key in args.systems) else None
    )
    seeds = {system.key: range(1, min(args.seeds, MOST_SEEDS.get(system.key, args.seeds)) + 1) for system in chosen}
    for seed in range(1, args.seeds + 1):
        train_all([system for system in chosen if seed in seeds[system.key]], [seed], args.out, args.workers)
    made = {
        "precision": precision,
        "workers": args.workers,
        "machine": {**machine(), "processor": platform.processor()},
        "versions": {package: version(package) for package in PACKAGES},
        "command": f"python -m benchmarks.finetuning {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
    }
    rows = {
        system.key: {**summarise(system, seeds[system.key], args.out), "seeds": list(seeds[system.key]), **made}
        for system in chosen
    }
    target = (RESULTS if args.record else args.out) / "finetuning.json"
    earlier = json.loads(target.read_text(encoding="utf-8")) if args.record and target.is_file() else {}
    result = {
        "what": "MELD test, 7 emotions: text encoders trained with the model; epoch chosen on dev weighted F1",
        "protocol": "dev",
        "cross_fit": earlier.get("cross_fit")
        if minutes is None and earlier
        else {"folds": FOLDS, "preset": FINETUNED, "minutes": minutes},
        # Rows that were not run this time stay as they were recorded.
        "systems": sorted(
            [*rows.values(), *(row for row in earlier.get("systems", ()) if row["key"] not in rows)],
            key=lambda row: keys.index(row["key"]),
        ),
    }
    from benchmarks.page_tables.encoder_tables import finetuning

    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{finetuning(result)}\nwritten: {target}\n{(time.monotonic() - started) / 60:.1f} minutes in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
