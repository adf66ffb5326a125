"""A part: the tests marked ``cuda``, on the GPU (on a CPU it stands in for one)."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # of a file that pytest wrote a moment ago

from benchmarks.gpu.child import Part

ROOT = Path(__file__).parents[3]
FILES = "tests/*/test_on_gpu.py"
KERNELS = "tests/nn/gru/test_kernels.py"
"""Holds one test for a GPU, beside those of Triton's interpreter."""


def run_tests(device: str, folder: Path) -> dict[str, Any]:
    """Counts, and the failures' first lines."""
    report = folder / "report.xml"
    files = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(FILES))]
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-W", "default", "-rs", f"--junit-xml={report}"]
    done = subprocess.run(
        [*command, *files, KERNELS],
        cwd=ROOT,
        env={**os.environ, "DIALOGUE_SER_TEST_DEVICE": "cpu" if device == "cpu" else "auto"},
        check=False,
    )
    counts: dict[str, Any] = {"exit_status": done.returncode, "passed": 0, "failed": 0, "skipped": 0, "failures": []}
    if not report.is_file():
        return counts
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314
        trouble = case.find("failure") if case.find("failure") is not None else case.find("error")
        if trouble is not None:
            first_line = (trouble.get("message") or "").partition("\n")[0]
            counts["failures"].append(f"{case.get('classname')}.{case.get('name')}: {first_line[:300]}")
        outcome = "failed" if trouble is not None else "skipped" if case.find("skipped") is not None else "passed"
        counts[outcome] += 1
    return counts


def main() -> int:
    """One pytest for all of them."""
    part = Part(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        counts = run_tests(part.device.type, Path(folder))
    told = ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "skipped"))
    part.found(**counts, headline=told)
    return int(counts["exit_status"] != 0 or not counts["passed"])


if __name__ == "__main__":
    raise SystemExit(main())
