"""nEMO, leave one speaker out, with the presets of `dialogue-ser crossval`: ``python -m benchmarks.nemo [--record]``.

It starts with an empty feature store, uses one process and takes a few minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_files import recorded
from dialogue_ser.runs.run_files import RunFiles

RESULTS = Path(__file__).parent / "results" / "nemo.json"
#: Preset → goal for the UA over all folds.
TARGETS: Mapping[str, float] = {
    "nemo-egemaps-svm": 0.369,
    "nemo-compare-svm": 0.427,
    "nemo-egemaps-svm-speaker-norm": 0.570,
    "nemo-compare-svm-speaker-norm": 0.554,
}
CORPUS = "nEMO (1,057 utterances, 9 speakers, 6 emotions): each speaker tested once, dev = the next in order"
KEPT = ("protocol", "system", "uses_unlabelled_test_recordings", "pooled", "intervals", "fold_mean", "dev", "speakers")


def run(preset: str, out: Path, store: Path) -> dict[str, Any]:
    """Run one preset in a process of its own. Return the content of its scores.json."""
    environment = {**os.environ, "DIALOGUE_SER_CACHE": str(store), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dialogue_ser.cli.main", "crossval", "--preset", preset, "--out", str(out)]
    subprocess.run([*command, "--features.audio.options.processes", "1"], check=True, env=environment)
    return RunFiles(out).scores


def row(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of one preset that the result file keeps."""
    measured = recorded({name: scores[name] for name in (*KEPT, "folds")})
    features = scores["config"]["features"]["audio"]
    extraction = scores["extraction"]["audio"]
    return {
        "preset": scores["name"],
        "target_ua": TARGETS[scores["name"]],
        "feature_set": features["options"]["feature_set"],
        "transforms": features["transforms"],
        "crossval": scores["config"]["crossval"],
        **{name: measured[name] for name in KEPT},
        "folds": [
            {name: fold[name] for name in ("name", "ua", "wa", "macro_f1", "n", "chosen")} for fold in measured["folds"]
        ],
        # A later preset finds the features of an earlier one in the store.
        "extraction": extraction if extraction["encoded"] else None,
        "seconds_of_folds": scores["seconds"] - extraction["seconds"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the presets with an empty feature store and write their scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=tuple(TARGETS), default=list(TARGETS))
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS}")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        every = [run(preset, Path(folder) / preset, Path(folder) / "store") for preset in args.presets]
    result = {
        "what": CORPUS,
        "protocol": "C chosen on dev UA from the stated grid, then transforms and weights learnt from train + dev",
        "command": f"python -m benchmarks.nemo {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
        "machine": every[0]["machine"],
        "versions": every[0]["versions"],
        "rows": [row(scores) for scores in every],
    }
    from benchmarks.page_tables.encoder_tables import nemo

    print(nemo(result))
    if args.record:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"written: {RESULTS}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
