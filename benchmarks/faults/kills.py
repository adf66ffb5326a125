"""SIGKILL at random moments of a training, then ``--resume``.

A case starts a training, kills it after a random time, and resumes it; in two cases of five the resumed run is killed
again, up to three times. Every tenth case is the whole command, with scores and report.

Survived: the run continues to its end with exit status 0, and everything that it found is bitwise equal to the run that
nobody killed: the lines of metrics.jsonl (losses, gradients, learning rates, scores; not the times), the predictions,
and the bytes of every saved tensor.
"""

import signal
import time
from pathlib import Path

from benchmarks.faults import trained
from benchmarks.faults.core.case import Case, Failed, Family, Outcome

_WHOLE_EVERY = 10
#: The command needs about this much longer than the training: scores, figures, report.
_COMMAND_SECONDS = 2.0


def prepare(material: Path) -> None:
    """Train every variant once, undisturbed."""
    trained.write_material(material)


def attack(case: Case) -> Outcome:
    """Kill, resume, compare."""
    names = list(trained.VARIANTS)
    key = f"{names[case.number % len(names)]}-1"
    whole = case.number % _WHOLE_EVERY == _WHOLE_EVERY - 1
    right, seconds = trained.reference_of(case.material, key)
    out = case.folder / "run"
    n_kills = 1 + int(case.rng.integers(3)) if case.rng.random() < 0.4 else 1
    begin = trained.start_command_line if whole else trained.start_training
    killed: list[str] = []
    for attempt in range(n_kills):
        moment = float(case.rng.uniform(0.0, seconds + (_COMMAND_SECONDS if whole else 0.0)))
        resume = attempt > 0 and (out / "config.yaml").is_file()
        child = begin(case.material, key, out, case.folder / f"killed-{attempt}.txt", resume=resume)
        time.sleep(moment)
        was_running = child.signal(signal.SIGKILL)
        status = child.wait(trained.MAX_SECONDS)
        killed.append(f"{moment:.3f} s" if was_running else "after its end")
        if not was_running and status != 0:
            raise Failed(f"{key}: exit status {status} without a kill: {trained.last_line(child.text)}")
    what = f"{key}{', whole command' if whole else ''}, killed at {', '.join(killed)}"
    try:
        trained.finish(case.material, key, out, case.folder, whole=whole)
        trained.require_same_run(out, right)
        if whole and not (out / "report.html").is_file():
            raise Failed("the report is missing")
    except Failed as failure:
        raise Failed(f"{what}: {failure}") from failure
    return Outcome("equal", what)


FAMILY = Family(
    name="kills",
    fault="SIGKILL at random moments of a training, then resume",
    one_try="one run, killed one to three times",
    survives="bitwise equal to the run that was not killed",
    quick=24,
    full=200,
    prepare=prepare,
    attack=attack,
    seconds=120.0,
)
