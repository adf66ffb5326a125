"""Run the cases of a campaign, some at a time, each in a process of its own."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.faults.core.case import NOTE, SURVIVED, Case, Family
from benchmarks.faults.core.isolation import OUTCOME, PREPARE, PRINTED, context, run_case
from benchmarks.faults.core.record import Tried, WorkFolder

Families = Mapping[str, tuple[Family, str]]
_PREPARE_SECONDS = 300.0
#: Without a terminal, a line is printed this often.
_LINE_SECONDS = 20.0


@dataclass
class _Running:
    case: Case
    process: BaseProcess
    deadline: float
    started: float


def run_cases(
    work: WorkFolder,
    families: Families,
    numbers: Mapping[str, range],
    *,
    workers: int,
    keep: bool = False,
    again: bool = False,
    warm: bool = True,
) -> list[Tried]:
    """Run all cases that the work folder does not know yet, and return the outcomes of all of them.

    Args:
        work: remembers outcomes and holds what families prepared.
        families: name → family and its module.
        numbers: name → numbers of its cases.
        workers: number of cases at the same time.
        keep: keep the folders of cases that did not survive.
        again: run the cases although their outcomes are known, and do not record them.
        warm: whether processes have imported the library before a case begins.

    Raises:
        RuntimeError: a family could not prepare its material.
    """
    known = {} if again else work.known()
    wanted = [(name, number) for name, chosen in numbers.items() for number in chosen]
    outcomes = [known[key] for key in wanted if key in known]
    todo = [key for key in wanted if key not in known]
    needed = {name: families[name] for name in dict.fromkeys(name for name, _ in todo)}
    with _Pool(work, warm=warm) as pool, _progress(wanted, outcomes) as report:
        for name, (family, module) in needed.items():
            _prepare(pool, work, family, module)
            cases = iter(number for owner, number in todo if owner == name)
            for tried in pool.outcomes(family, module, cases, workers, keep or again):
                if not again:
                    work.add(tried)
                outcomes.append(tried)
                report(tried)
    return outcomes


def _prepare(pool: "_Pool", work: WorkFolder, family: Family, module: str) -> None:
    """Make what all cases of a family use, unless a complete one is there."""
    folder, scratch = work.material(family.name), work.scratch(family.name, PREPARE)
    mark = folder / ".complete"
    if mark.is_file():
        return
    for path in (folder, scratch):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    case = Case(family.name, PREPARE, work.seed, scratch, folder)
    [tried] = pool.outcomes(family, module, iter([PREPARE]), 1, keep=True, preparing=case)
    if tried.how != "equal":
        raise RuntimeError(f"{family.name}: the material could not be made: {tried.what}")
    shutil.rmtree(scratch, ignore_errors=True)
    mark.touch()


class _Pool:
    """Processes that run cases; all of them end with the context."""

    def __init__(self, work: WorkFolder, *, warm: bool) -> None:
        self._work = work
        self._context = context(warm=warm)
        self._running: dict[int, _Running] = {}

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running.values():
            _end_group(running.process)

    def outcomes(
        self,
        family: Family,
        module: str,
        numbers: Iterator[int],
        workers: int,
        keep: bool,
        preparing: Case | None = None,
    ) -> Iterator[Tried]:
        """Yield the outcome of every case as soon as it is known."""
        is_left = True
        while is_left or self._running:
            while is_left and len(self._running) < workers:
                number = next(numbers, None)
                if number is None:
                    is_left = False
                    break
                self._start(family, module, preparing or self._case(family, number))
            for done in self._ended():
                yield self._judge(done, family, keep)

    def _case(self, family: Family, number: int) -> Case:
        folder = self._work.scratch(family.name, number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return Case(family.name, number, self._work.seed, folder, self._work.material(family.name))

    def _start(self, family: Family, module: str, case: Case) -> None:
        process = self._context.Process(target=run_case, args=(module, case))
        process.start()
        now = time.monotonic()
        seconds = _PREPARE_SECONDS if case.number == PREPARE else family.seconds
        self._running[process.sentinel] = _Running(case, process, now + seconds, now)

    def _ended(self) -> list[_Running]:
        """Wait until a case has ended, or has had its time; return those."""
        if not self._running:
            return []
        nearest = min(running.deadline for running in self._running.values())
        ready = set(connection.wait(list(self._running), timeout=max(0.0, nearest - time.monotonic())))
        now = time.monotonic()
        ended = [key for key, running in self._running.items() if key in ready or running.deadline <= now]
        return [self._running.pop(key) for key in ended]

    def _judge(self, done: _Running, family: Family, keep: bool) -> Tried:
        is_late = done.process.exitcode is None
        _end_group(done.process)
        seconds, path = time.monotonic() - done.started, done.case.folder / OUTCOME
        if path.is_file() and not is_late:
            found = json.loads(path.read_text(encoding="utf-8"))
            how, what, seconds = found["how"], found["what"], found["seconds"]
        elif is_late:
            how, what = "failed", f"{_noted(done.case.folder)}it did not end within {family.seconds:.0f} s"
        else:
            ended = f"the process ended with status {done.process.exitcode}: {_tail(done.case.folder)}"
            how, what = "failed", _noted(done.case.folder) + ended
        if not keep or how in SURVIVED:
            shutil.rmtree(done.case.folder, ignore_errors=True)
        return Tried(family.name, done.case.number, how, what, round(seconds, 3))


def _noted(folder: Path) -> str:
    path = folder / NOTE
    return f"{path.read_text(encoding='utf-8', errors='replace')}: " if path.is_file() else ""


def _tail(folder: Path) -> str:
    path = folder / PRINTED
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return " ".join(text[-300:].split())


def _end_group(process: BaseProcess) -> None:
    """End a case's process and all that it started."""
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    process.join()


@contextlib.contextmanager
def _progress(wanted: list[tuple[str, int]], known: list[Tried]) -> Iterator["_Report"]:
    console = Console(stderr=True)
    report = _Report(wanted, known)
    if not console.is_terminal:
        yield report
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        report.bars = bars
        for name, total in report.totals.items():
            report.tasks[name] = bars.add_task(name, total=total, completed=report.done[name])
        yield report


class _Report:
    """Says how far a campaign is: bars on a terminal, else a line now and then."""

    def __init__(self, wanted: list[tuple[str, int]], known: list[Tried]) -> None:
        names = [name for name, _ in wanted]
        self.totals = {name: names.count(name) for name in dict.fromkeys(names)}
        self.done = {name: sum(tried.family == name for tried in known) for name in self.totals}
        self.failed = dict.fromkeys(self.totals, 0)
        self.bars: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        self._printed = 0.0

    def __call__(self, tried: Tried) -> None:
        """Note an outcome."""
        name = tried.family
        self.done[name] += 1
        self.failed[name] += tried.how not in SURVIVED
        words = f"{name}, {self.failed[name]} failed" if self.failed[name] else name
        if self.bars is not None:
            self.bars.update(self.tasks[name], completed=self.done[name], description=words)
            return
        now = time.monotonic()
        if self.done[name] == self.totals[name] or now - self._printed > _LINE_SECONDS:
            self._printed = now
            print(
                f"{name}: {self.done[name]} of {self.totals[name]}, {self.failed[name]} failed",
                file=sys.stderr,
                flush=True,
            )
