"""A process that has imported the package once and forks for every script it is asked to run.

What is killed, signalled or counted in a test is thus a process of its own, without the suite's run-time type checks,
that need not import torch again: that takes longer than most scripts. As a script this file is that process; it reads
one request a line and answers with the script's exit status, negative where a signal ended it.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: What scripts of the suite use; an optimizer's first step imports torch._dynamo.
IMPORTED = (
    "dialogue_ser.cli.commands.train",
    "dialogue_ser.evaluation.out_of_fold",
    "dialogue_ser.evaluation.run",
    "torch._dynamo",
)
TIMEOUT_SECONDS = 120


class WarmProcess:
    """Runs Python scripts like ``subprocess.run([python, …], capture_output=True, text=True)``, but for the import.

    Args:
        folder: for what scripts print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(
        self, arguments: Sequence[object], path: Sequence[Path] = (), environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a script to its end; after two minutes it is ended by SIGALRM.

        Args:
            arguments: the script's file and what follows it.
            path: folders that its imports are searched in first.
            environment: joins this process's.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        outputs = {name: self._folder / name for name in ("stdout", "stderr")}
        request = {
            "arguments": [str(argument) for argument in arguments],
            "path": [str(folder) for folder in path],
            "environment": {**os.environ, **(environment or {})},
            "folder": str(Path.cwd()),
            **{name: str(file) for name, file in outputs.items()},
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the warm process has ended"
        printed = {name: file.read_text(encoding="utf-8") for name, file in outputs.items()}
        return subprocess.CompletedProcess(request["arguments"], json.loads(answer), **printed)

    def end(self) -> None:
        """Ends the process; scripts have ended before."""
        self._process.communicate()


def _run(request: Mapping[str, Any]) -> int:
    """In the forked process: the script, with its own output, arguments and environment; gives its exit status."""
    signal.alarm(TIMEOUT_SECONDS)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv[:] = request["arguments"]
    sys.path[:0] = request["path"]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Reads requests until there are no more."""
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = _run(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
