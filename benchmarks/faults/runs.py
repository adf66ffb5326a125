"""Several processes in one run directory.

A case is one directory, one of five kinds: two trainings with different seeds; two resumes of a killed run; a training
that is killed while another waits to take over; scores and report of a run that is being trained; two commands that
score one finished run.

Survived: at least one process does its work with exit status 0, any other one is refused with status 2 and a clear
sentence or does its work too, nobody prints a traceback, and in the end the directory holds the configuration, metrics,
predictions and weights of one undisturbed run.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults import trained
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.isolation import Child, start_command
from benchmarks.faults.core.oracle import short

_NAMES = ("text", "ensemble", "values")


def prepare(material: Path) -> None:
    """Train with two seeds, undisturbed, and score one run."""
    trained.write_material(material, _NAMES, trained.SEEDS)
    child = start_command(["evaluate", str(material / "text-1")], material / "evaluate.txt")
    if child.wait(trained.MAX_SECONDS) != 0:
        raise RuntimeError(f"the finished run could not be scored: {child.text[-1000:]}")


def attack(case: Case) -> Outcome:
    """Let processes meet in one directory."""
    kinds: tuple[Callable[[Case, str], str], ...] = (
        _two_trainings,
        _two_resumes,
        _take_over,
        _score_early,
        _two_scores,
    )
    kind = kinds[case.number % len(kinds)]
    name = _NAMES[case.number // len(kinds) % len(_NAMES)]
    what = case.note(f"{kind.__name__.lstrip('_')}, {name}")
    try:
        return Outcome("equal", f"{what}: {kind(case, name)}")
    except Failed as failure:
        raise Failed(f"{what}: {failure}") from failure


def _ended(child: Child, allowed: tuple[int, ...] = (0, 2)) -> int:
    """Wait for a process, and look at what it printed."""
    status = child.wait(trained.MAX_SECONDS)
    text = child.text
    if "Traceback (most recent call last)" in text or status not in allowed:
        raise Failed(f"exit status {status}: {trained.last_line(text)}")
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    if status == 2 and not errors:
        raise Failed(f"refused without a sentence: {trained.last_line(text)}")
    return status


def _check_winner(case: Case, name: str, out: Path, seeds: tuple[int, ...]) -> int:
    """Compare the directory with the undisturbed run of the seed that its configuration names."""
    import yaml

    seed = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))["seed"]
    if seed not in seeds:
        raise Failed(f"config.yaml has seed {seed}; the trainings that succeeded had {seeds}")
    right, _ = trained.reference_of(case.material, f"{name}-{seed}")
    trained.require_same_run(out, right)
    return int(seed)


def _moment(case: Case, name: str, most: float = 1.0) -> float:
    return float(case.rng.uniform(0.0, most * trained.reference_of(case.material, f"{name}-1")[1]))


def _two_trainings(case: Case, name: str) -> str:
    out, moment = case.folder / "run", _moment(case, name)
    children = []
    for seed in trained.SEEDS:
        child = trained.start_training(case.material, f"{name}-{seed}", out, case.folder / f"train-{seed}.txt")
        children.append(child)
        time.sleep(moment if seed == trained.SEEDS[0] else 0.0)
    statuses = [_ended(child) for child in children]
    winners = tuple(seed for seed, status in zip(trained.SEEDS, statuses, strict=True) if status == 0)
    if len(winners) != 1:
        raise Failed(f"exit statuses {statuses}: one training must be refused, and one must succeed")
    _check_winner(case, name, out, winners)
    return f"{moment:.2f} s apart, exit statuses {statuses}"


def _killed(case: Case, name: str, out: Path) -> None:
    """Train and kill; leave an unfinished run behind, or a finished one if the moment was late."""
    child = trained.start_training(case.material, f"{name}-1", out, case.folder / "killed.txt")
    deadline = time.monotonic() + trained.MAX_SECONDS
    while not (out / "config.yaml").is_file() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(_moment(case, name, 0.5))
    child.signal(signal.SIGKILL)
    child.wait(trained.MAX_SECONDS)


def _two_resumes(case: Case, name: str) -> str:
    out = case.folder / "run"
    _killed(case, name, out)
    children = []
    for number in range(2):
        printed = case.folder / f"resume-{number}.txt"
        children.append(trained.start_training(case.material, f"{name}-1", out, printed, resume=True))
        time.sleep(float(case.rng.uniform(0.0, 0.3)))
    statuses = [_ended(child) for child in children]
    if 0 not in statuses:
        raise Failed(f"exit statuses {statuses}: {trained.last_line(children[0].text)}")
    _check_winner(case, name, out, (1,))
    return f"exit statuses {statuses}"


def _take_over(case: Case, name: str) -> str:
    out = case.folder / "run"
    _killed(case, name, out)
    child = trained.start_training(case.material, f"{name}-1", out, case.folder / "resume.txt", resume=True)
    if _ended(child) != 0:
        raise Failed(f"the lock of a dead process was not taken over: {trained.last_line(child.text)}")
    _check_winner(case, name, out, (1,))
    return "resumed"


def _score_early(case: Case, name: str) -> str:
    out = case.folder / "run"
    child = trained.start_training(case.material, f"{name}-1", out, case.folder / "train.txt")
    time.sleep(_moment(case, name))
    tokens = ["evaluate", str(out)]
    early = start_command(tokens, case.folder / "early.txt")
    statuses = [_ended(child, allowed=(0,)), _ended(early)]
    _check_winner(case, name, out, (1,))
    return f"scores: exit status {statuses[1]}: {short(trained.last_line(early.text), 80)}"


def _two_scores(case: Case, name: str) -> str:
    out = case.folder / "run"
    shutil.copytree(case.material / "text-1", out)
    right = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    children = [start_command(["evaluate", str(out)], case.folder / f"scores-{n}.txt") for n in range(2)]
    statuses = [_ended(child) for child in children]
    if 0 not in statuses:
        raise Failed(f"exit statuses {statuses}: {trained.last_line(children[0].text)}")
    if json.loads((out / "scores.json").read_text(encoding="utf-8")) != right:
        raise Failed("scores.json differs from that of one command alone")
    _check_winner(case, "text", out, (1,))
    return f"exit statuses {statuses}"


FAMILY = Family(
    name="runs",
    fault="several processes in one run directory",
    one_try="one directory: two trainings, two resumes, a take-over, or scores meanwhile",
    survives="others are refused in a clear sentence, and the directory holds one undisturbed run",
    quick=15,
    full=60,
    prepare=prepare,
    attack=attack,
    seconds=120.0,
)
