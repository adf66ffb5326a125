"""The kernels give the results of torch's operations, in Triton's interpreter and on a GPU, and they compile for GPUs.

The single tests are in executed_kernels.py and compiled_kernels.py. They run in separate processes, because Triton
reads TRITON_INTERPRET only once, when it is imported.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed (extra dev, Linux only)")
FOLDER = Path(__file__).parent


def _run(name: str, cache: Path, **environment: str) -> int:
    """Run the tests of a file and return how many passed. All must pass."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--noconftest", str(FOLDER / name)],
        cwd=FOLDER.parents[1],
        env={**os.environ, "TRITON_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    summary = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert summary, f"not all passed: {done.stdout[-1000:]}"
    return int(summary[1])


def test_in_the_interpreter_kernels_equal_torchs_operations(tmp_path: Path) -> None:
    assert _run("executed_kernels.py", tmp_path, TRITON_INTERPRET="1") >= 67


def test_kernels_compile_for_gpus(tmp_path: Path) -> None:
    assert _run("compiled_kernels.py", tmp_path, TRITON_INTERPRET="0") == 16


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: a CPU cannot run compiled kernels")
def test_on_a_gpu_compiled_kernels_equal_torchs_operations(tmp_path: Path) -> None:
    assert _run("executed_kernels.py", tmp_path, TRITON_INTERPRET="0") >= 67
