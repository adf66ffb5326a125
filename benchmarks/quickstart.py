"""Times the quickstart with an empty feature store: ``python -m benchmarks.quickstart [--record]``."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from dialogue_ser.runs.run_files import RunFiles

RESULTS = Path(__file__).parent / "results" / "quickstart.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the quickstart in a new process and read its run directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS}")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "quickstart"
        command = [str(Path(sys.executable).with_name("dialogue-ser")), "train", "--preset", "quickstart"]
        environment = {**os.environ, "DIALOGUE_SER_CACHE": str(Path(folder) / "store")}
        started = time.perf_counter()
        subprocess.run([*command, "--out", str(out)], check=True, env=environment)
        seconds = time.perf_counter() - started
        run = RunFiles(out)
        result = {
            "what": "dialogue-ser train --preset quickstart with an empty feature store: encode, train, score, report",
            "protocol": "epoch chosen on dev, one seed; the corpus is synthetic, its scores say nothing about people",
            "seed": run.config["seed"],
            "command": "python -m benchmarks.quickstart --record",
            "machine": {"platform": platform.platform(), "cpu_count": os.cpu_count()},
            "versions": {name: version(name) for name in ("dialogue-ser", "torch", "opensmile", "transformers")},
            "seconds_after_install": seconds,
            "scores": run.summary["scores"],
        }
    print(json.dumps(result, indent=1))
    if args.record:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
