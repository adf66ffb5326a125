"""SIGTERM and SIGINT at random moments of a training, then ``--resume``.

Survived: the process ends within 10 s, with exit status 143 (SIGTERM) or 130 (SIGINT) as a shell sees it, or with 0 if
it had ended its work; where training had begun, a checkpoint is there and the last line says how to continue; the
resumed run is bitwise equal to the run that nobody stopped. In one case of four a second signal follows at once.
"""

import signal
import time
from pathlib import Path

from benchmarks.faults import trained
from benchmarks.faults.core.case import Case, Failed, Family, Outcome

_EXIT_SECONDS = 10.0
_STATUSES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def prepare(material: Path) -> None:
    """Train every variant once, undisturbed."""
    trained.write_material(material)


def attack(case: Case) -> Outcome:
    """Stop, look at the exit status, resume, compare."""
    names = list(trained.VARIANTS)
    key = f"{names[case.number // 2 % len(names)]}-1"
    number = (signal.SIGTERM, signal.SIGINT)[case.number % 2]
    right, seconds = trained.reference_of(case.material, key)
    out, moment, twice = case.folder / "run", float(case.rng.uniform(0.0, seconds)), case.rng.random() < 0.25
    child = trained.start_training(case.material, key, out, case.folder / "stopped.txt")
    time.sleep(moment)
    was_running = child.signal(number)
    if twice:
        time.sleep(float(case.rng.uniform(0.0, 0.05)))
        child.signal(number)
    status = child.wait(_EXIT_SECONDS)
    what = f"{key}, {'two' if twice else 'one'} {number.name} at {moment:.3f} s"
    try:
        _check_end(status, number, was_running, twice, out, child.text)
        if status:
            trained.finish(case.material, key, out, case.folder)
        trained.require_same_run(out, right)
    except Failed as failure:
        raise Failed(f"{what}: {failure}") from failure
    return Outcome("equal", f"{what}, exit status {status}")


def _check_end(status: int, number: signal.Signals, was_running: bool, twice: bool, out: Path, text: str) -> None:
    """Raise Failed unless the stopped process ended as it must."""
    seen = 128 - status if status < 0 else status  # a shell shows a process that a signal ended as 128 + its number
    if seen not in (0, _STATUSES[number]) or (seen and not was_running):
        raise Failed(f"exit status {seen} in place of {_STATUSES[number]}: {trained.last_line(text)}")
    if "Traceback (most recent call last)" in text:
        raise Failed(f"a traceback was printed: {trained.last_line(text)}")
    has_stepped = any(path.stat().st_size for path in out.rglob("metrics.jsonl"))
    has_checkpoint = any(path.is_dir() for path in out.rglob("checkpoints/*"))
    says_how = "--resume" in trained.last_line(text)
    if seen == _STATUSES[number] and says_how and not has_checkpoint:
        raise Failed("it says how to continue, but there is no checkpoint")
    if status == _STATUSES[number] and has_stepped and not twice and not says_how and not has_checkpoint:
        raise Failed(f"training had begun, and there is no checkpoint: {trained.last_line(text)}")


FAMILY = Family(
    name="signals",
    fault="SIGTERM or Ctrl-C at random moments of a training, then resume",
    one_try="one run, stopped once or twice",
    survives="exit status 143 or 130 within 10 s, a checkpoint, and bitwise equal after resume",
    quick=16,
    full=100,
    prepare=prepare,
    attack=attack,
    seconds=120.0,
)
