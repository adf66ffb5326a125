"""A process of its own for every case, with a limit of time and memory, and processes that a case starts.

Processes are forked from one that has imported the library, because importing torch takes longer than most cases.
"""

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.oracle import short, traced

#: What cases use. An optimizer's first step imports torch._dynamo.
IMPORTED = (
    "torch._dynamo", "av", "soundfile", "soxr", "pyarrow.parquet", "dialogue_ser.cli.main",
    "dialogue_ser.cli.commands.train", "dialogue_ser.cli.commands.data", "dialogue_ser.cli.commands.predict",
    "dialogue_ser.cli.commands.evaluate", "dialogue_ser.training.run", "dialogue_ser.evaluation.run",
    "dialogue_ser.report.page", "dialogue_ser.report.card", "dialogue_ser.features.store.feature_store",
    "dialogue_ser.models.recurrent.bigru", "dialogue_ser.models.recurrent.emotion_rnn", "dialogue_ser.encoders.textcnn",
)  # fmt: skip
#: Set for all processes: one thread each, no network, no tracking.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
}
OUTCOME, PRINTED = "outcome.json", "printed.txt"
PREPARE = -1
#: A case that is still there after this time has lost its campaign.
LAST_SECONDS = 600


def context(*, warm: bool = True) -> multiprocessing.context.ForkServerContext:
    """Return the context that starts processes. If it is warm, they have imported the library already."""
    os.environ.update(ENVIRONMENT)
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["benchmarks.faults.core.isolation", *["benchmarks.faults.core.warm"] * warm])
    return found


def run_case(module: str, case: Case) -> None:
    """Run one case in this process, which does nothing else, and write its outcome into the case's folder.

    Args:
        module: module of the family; its attribute FAMILY is the family.
        case: the case; the number PREPARE prepares the family's material instead.
    """
    os.setsid()  # Ctrl-C reaches the campaign only; the campaign ends the whole group
    signal.alarm(LAST_SECONDS)  # if the campaign was killed, nobody else ends a case that hangs
    signal.signal(signal.SIGINT, signal.default_int_handler)
    printed = os.open(case.folder / PRINTED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(printed, number)
    os.environ["DIALOGUE_SER_CACHE"] = str(case.folder / "cache")
    family: Family = import_module(module).FAMILY
    started = time.monotonic()
    outcome = _judged(family, case)
    content = {"how": outcome.how, "what": outcome.what, "seconds": round(time.monotonic() - started, 3)}
    temporary = case.folder / f".{OUTCOME}"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(case.folder / OUTCOME)
    sys.stdout.flush()
    os._exit(0)  # what hangs at the exit of a process belongs to no case


def _judged(family: Family, case: Case) -> Outcome:
    if case.number == PREPARE:
        try:
            family.prepare(case.material)
        except BaseException as error:
            traceback.print_exc()
            return Outcome("failed", f"{type(error).__name__}: {error}")
        return Outcome("equal", "prepared")
    limit_memory(family.gigabytes)
    try:
        return family.attack(case)
    except Failed as failure:
        return Outcome("failed", short(failure, 300))
    except BaseException as error:
        return Outcome("failed", traced(error))


def limit_memory(gigabytes: float) -> None:
    """Let this process and its children take so much memory beyond what this process has now."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmData:"))
    held = 1024 * int(line.split()[1])
    most = held + int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


@dataclass
class Child:
    """A process that a case started.

    Args:
        pid: its number.
        printed: file with what it prints.
        status: exit status, negative where a signal ended it; None while it runs.
    """

    pid: int
    printed: Path
    status: int | None = None

    def signal(self, number: int) -> bool:
        """Send a signal; say whether the process was still running."""
        if self.poll() is not None:
            return False
        os.kill(self.pid, number)
        return True

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float) -> int:
        """Wait for its end.

        Raises:
            Failed: it still runs after so many seconds. It is killed then.
        """
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.status = -signal.SIGKILL
                raise Failed(f"a process did not end within {seconds:.0f} s")
            time.sleep(0.005)
        assert self.status is not None
        return self.status

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.printed.read_text(encoding="utf-8", errors="replace")


def start(work: Callable[[], int | None], printed: Path) -> Child:
    """Start a process that does one thing. Its exit status is what ``work`` returns; 1 after a traceback."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, printed)
    status = 1
    try:
        descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number in (1, 2):
            os.dup2(descriptor, number)
        status = work() or 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def start_command(tokens: Sequence[str], printed: Path) -> Child:
    """Start a process that runs a command line of the library."""
    from dialogue_ser.cli.main import main

    return start(lambda: main(list(tokens)), printed)
