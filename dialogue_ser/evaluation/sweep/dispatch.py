"""The trials of a sweep as jobs: the next one is drawn when there is room for it."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.suite.work import epochs_done
from dialogue_ser.evaluation.sweep.objective import curve_of
from dialogue_ser.evaluation.sweep.plan import Settings, SweepPlan
from dialogue_ser.evaluation.sweep.sampling import drawn_trial
from dialogue_ser.evaluation.sweep.stopping import ELSEWHERE, FURTHER_SEED
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.evaluation.sweep.trial import ENDED, Trial, best_of
from dialogue_ser.evaluation.sweep.workers import BEAT_SECONDS
from dialogue_ser.many.jobs import Job, Outcome, fingerprint_of
from dialogue_ser.many.progress import Progress
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.environment import settings_checksum

logger = logging.getLogger(__name__)

#: A trial whose process dies is begun again until it has died so often.
MOST_DEATHS = 3
#: A sweep without an end stops when so many trials in a row have failed.
MOST_FAILURES = 10
_LOOK_SECONDS = 5.0
_WORK = "dialogue_ser.evaluation.sweep.work:do_trial"


class Trials:
    """An iterator over the jobs of a sweep. It has no job at a moment when nothing is to do, and may have one later.

    Args:
        plan: what the sweep is to do.
        study: its trials.
        out: its folder.
        shown: shows the progress.
    """

    def __init__(self, plan: SweepPlan, study: SweepStudy, out: Path, shown: Progress) -> None:
        self._plan, self._study, self._out, self._shown = plan, study, out, shown
        self._sweep_id = study.id
        self._running: dict[str, tuple[Trial, Settings]] = {}
        self._busy: set[int] = set()
        self._n_own = self._failures_in_a_row = 0
        self._last_look = -_LOOK_SECONDS
        #: number of a trial that this call has done and that failed → why.
        self.failed: dict[int, str] = {}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Job:
        while not self.is_over():
            trial = self._study.claim(self._plan.limit, leave_out=self._busy)
            if trial is None:
                break
            try:
                trial = drawn_trial(self._plan, self._study, trial)
                settings = self._plan.settings_of(trial.values)
            except DialogueSerError as error:
                self._fail(trial, "\n".join(error.problems))
                continue
            except BaseException:
                self._study.release(trial)
                raise
            return self._job(trial, settings)
        raise StopIteration

    def is_over(self) -> bool:
        """Return whether no new trial begins: the target is reached, or all trials fail."""
        metric = self._plan.sweep.metric
        if self._failures_in_a_row >= MOST_FAILURES and self._plan.limit == float("inf"):
            return True
        if metric is None or metric.target is None:
            return False
        best = best_of(self._study.trials(), metric.goal)
        if best is None or best.score is None:
            return False
        return best.score >= metric.target if metric.goal == "maximize" else best.score <= metric.target

    def has_unknown(self) -> bool:
        """Return whether a trial of another machine may have lost its worker; soon this will be known."""
        return not self.is_over() and any(
            trial.state == "running" and trial.number < self._plan.limit and self._study.is_lost(trial) is None
            for trial in self._study.trials()
        )

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Keep what came of a job."""
        trial, _ = self._running.pop(job.key)
        if outcome.status == "finished" and outcome.value.get("busy"):
            logger.warning("%s: another process still trains it; it is left to that process", job.key)
            self._busy.add(trial.number)
            self._study.release(trial)
            return
        if outcome.status == "finished":
            self._finish(trial, outcome)
        elif outcome.is_lost or outcome.status == "stopped":
            if not self._may_begin_again(trial, job, outcome):
                return
        else:
            self._fail(trial, outcome.reason)
        self._n_own += 1
        self._shown.ended(job.key, outcome)

    def _finish(self, trial: Trial, outcome: Outcome) -> None:
        found: Mapping[str, Any] = outcome.value
        self._failures_in_a_row = 0
        self._study.end(
            self._study.reread(trial),
            "finished" if found["stopped_epoch"] is None else "stopped",
            found["score"],
            found["curve"],
            seconds=round(outcome.seconds, 3),
            scores=found["scores"],
            best_epoch=found["best_epoch"],
            stopped_epoch=found["stopped_epoch"],
        )

    def _may_begin_again(self, trial: Trial, job: Job, outcome: Outcome) -> bool:
        """Return whether a trial whose process died has failed; otherwise somebody begins it again."""
        deaths = int(trial.info.get("deaths", 0)) + 1
        self._study.note(trial, deaths=deaths)
        if deaths < MOST_DEATHS:
            logger.warning("%s: %s; it is taken up again", job.key, outcome.reason)
            self._study.release(trial)
            return False
        self._fail(trial, outcome.reason)
        return True

    def _fail(self, trial: Trial, reason: str) -> None:
        self._failures_in_a_row += 1
        self.failed[trial.number] = reason
        self._study.end(trial, "failed", reason=reason)

    def tick(self) -> None:
        """Give a sign of life, and look at what other processes have done."""
        self._study.beat(BEAT_SECONDS)
        now = time.monotonic()
        if now - self._last_look < _LOOK_SECONDS:
            return
        self._last_look = now
        trials = self._study.trials()
        self._shown.done_before(sum(trial.state in ENDED for trial in trials) - self._n_own)
        if self._plan.sweep.early_terminate is not None and self._study.place.file != self._out / "study.journal":
            self._exchange_curves(trials)

    def _exchange_curves(self, trials: list[Trial]) -> None:
        """Put the curves of own trials into the storage, and write those of trials whose folders are not here."""
        for trial, _ in self._running.values():
            curve = curve_of(self._folders(trial.number)[0] / "metrics.jsonl", self._plan.objective)
            self._study.note_curve(self._study.reread(trial), curve)
        elsewhere = {
            self._run_id(trial.number): list(trial.curve)
            for trial in trials
            if trial.curve and not self._folders(trial.number)[0].is_dir()
        }
        if elsewhere:
            write_atomically(self._out / ELSEWHERE, to_json(elsewhere))

    def release_all(self) -> None:
        """Let others continue the trials that this process does not."""
        for trial, _ in self._running.values():
            self._study.release(trial)
        self._running.clear()

    def _run_id(self, number: int) -> str:
        return run_id(number, self._sweep_id)

    def _folders(self, number: int) -> list[Path]:
        """Return the run directory of each seed of a trial."""
        first = self._out / self._run_id(number)
        further = (first.with_name(f"{first.name}{FURTHER_SEED}{seed}") for seed in range(2, self._plan.seeds + 1))
        return [first, *further]

    def _job(self, trial: Trial, settings: Settings) -> Job:
        plan, key = self._plan, self._run_id(trial.number)
        self._running[key] = (trial, settings)
        folders = self._folders(trial.number)
        epochs = settings.config.training.epochs * plan.seeds
        self._study.note(trial, folders=[folder.name for folder in folders], epochs=epochs)
        environment, config = wandb_settings(settings.config, plan.name, self._sweep_id)
        rule = plan.sweep.early_terminate
        values = config_to_dict(config)
        work = config.training.epochs * config.training.ensemble * plan.seeds
        return Job(
            key=key,
            target=_WORK,
            payload={
                "config": values,
                "folders": [str(folder.absolute()) for folder in folders],
                "sweep": str(self._out.absolute()),
                "sweep_id": self._sweep_id,
                "objective": asdict(plan.objective),
                "rule": None if rule is None else asdict(rule),
                "environment": environment,
                "is_crossval": settings.is_crossval,
            },
            fingerprint=fingerprint_of([settings_checksum(config), plan.seeds]),
            trusted=frozenset(one.name for one in code_in_settings(values)),
            fraction=None if settings.is_crossval else lambda: sum(map(epochs_done, folders)) / work,
        )


def run_id(number: int, sweep_id: str) -> str:
    """Return the name of a trial's run directory, which is also its id in W&B.

    >>> run_id(7, "k3f9a2xq")
    '0007-k3f9a2xq'
    """
    return f"{number:04d}-{sweep_id}"


def wandb_settings(config: RunConfig, name: str, sweep_id: str) -> tuple[dict[str, str], RunConfig]:
    """Return the variables of W&B for a trial, and its configuration with the mode and the group of the sweep.

    WANDB_MODE wins over ``wandb.mode``. A server refuses a run of a sweep that it does not know. So the run gets the id
    of the sweep if it is offline, or if WANDB_SWEEP_ID names a sweep of the server.

    Args:
        config: the configuration of the trial.
        name: name of the sweep.
        sweep_id: its random name.
    """
    modes = {"disabled": "disabled", "offline": "offline", "dryrun": "offline", "online": "online", "run": "online"}
    mode: Any = modes.get(os.environ.get("WANDB_MODE", ""), config.wandb.mode)
    group = config.wandb.group or os.environ.get("WANDB_RUN_GROUP") or f"{name}-{sweep_id}"
    of_server = os.environ.get("WANDB_SWEEP_ID", "")
    environment = {
        "WANDB_MODE": mode,
        "WANDB_RUN_GROUP": group,
        "WANDB_PROJECT": os.environ.get("WANDB_PROJECT") or config.wandb.project,
    }
    if of_server or mode == "offline":
        environment["WANDB_SWEEP_ID"] = of_server or sweep_id
    return environment, replace(config, wandb=replace(config.wandb, mode=mode, group=group))
