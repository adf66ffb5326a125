"""``dialogue-ser sweep run FILE``: do the trials of a sweep, here and on all machines that share its storage."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.cli.job_engines import job_engine
from dialogue_ser.errors import ConfigError, shown_problems
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.search_space.sweep_file import read_sweep

if TYPE_CHECKING:
    from dialogue_ser.evaluation.sweep.plan import SweepPlan
    from dialogue_ser.evaluation.sweep.run_sweep import SweepRun
    from dialogue_ser.many.jobs import Outcome


def sweep_run(
    file: str,
    trials: int | None = None,
    workers: int = 1,
    seeds: int = 1,
    storage: str | None = None,
    sampler: Literal["gp", "tpe"] = "gp",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus: float = 0.0,
    out: str | None = None,
    retry_failed: bool = False,
    trust_code: bool = False,
) -> int:
    """Do the trials of a sweep file of Weights & Biases, without its server.

    Each trial is a run directory. The same command continues a sweep that was stopped or killed. The same command in
    another process, or on another machine that sees the same storage, helps with the same trials. If a trial fails, the
    others go on, and the exit status is 1.

    Args:
        file: the sweep file, in YAML (docs/sweeps.md).
        trials: number of trials of the whole sweep, over all processes and calls. If left out: as many as the file
            says (run_cap, or the points of the grid), and without an end if it says nothing.
        workers: number of trials at the same time; 0 = one for each CPU core. The threads are divided among them.
        seeds: number of seeds of every trial. The score of a trial is the mean over them.
        storage: where the trials are kept: a URL such as sqlite:///sweep.db, or the path of an Optuna journal. If left
            out: a journal in the folder of the sweep.
        sampler: what chooses the trials of the method bayes: gp = a Gaussian process, tpe = Parzen estimators.
        engine: local = processes of this machine; ray = a Ray cluster (needs the extra 'ray').
        address: address of the Ray cluster. If left out, Ray is started on this machine.
        gpus: number of GPUs for each trial on Ray.
        out: folder of the sweep. If left out: runs/ and the name of the sweep.
        retry_failed: do the trials again that have failed. They continue from their checkpoints. A trial whose process
            was killed is taken up again without this flag.
        trust_code: allow code that the file names, e.g. your own model. It is run, so allow only code that you trust.
    """
    from dialogue_ser.cli.commands.sweeps.trial_checks import check_trials
    from dialogue_ser.cli.commands.sweeps.trial_command import trial_request
    from dialogue_ser.evaluation.sweep.plan import Settings, SweepPlan
    from dialogue_ser.evaluation.sweep.run_sweep import run_sweep
    from dialogue_ser.many.progress import Shown

    jobs = job_engine("sweep run", engine, workers, address, gpus, flag="--workers")
    sweep = read_sweep(Path(file))
    problems, noticed = check_trials(sweep, trust_code)
    if problems:
        raise ConfigError(*problems)

    def settings_of(values: Mapping[str, Any]) -> Settings:
        command, request = trial_request(sweep, values, os.environ)
        return Settings(config=request.config, is_crossval=command == "crossval")

    plan = SweepPlan(
        sweep=sweep,
        settings_of=settings_of,
        seeds=seeds,
        trials=trials,
        sampler=sampler,
        trust_code=trust_code,
    )
    folder = Path(out) if out else Path("runs") / plan.name
    for warning in dict.fromkeys((*sweep.warnings, *noticed, *plan.warnings())):
        print(visible(f"warning: {warning}"), file=sys.stderr)
    again = f"dialogue-ser sweep run {file}" + (f" --out {out}" if out else "")
    try:
        found = run_sweep(
            plan,
            folder,
            storage=storage,
            retry_failed=retry_failed,
            engine=jobs,
            progress=lambda title: Shown(title, result=lambda outcome: _result(plan, outcome)),
        )
    except (KeyboardInterrupt, SystemExit):
        print(visible(f"stopped: the same command continues ({again} …)"), file=sys.stderr)
        raise
    return _finish(plan, found)


def _result(plan: "SweepPlan", outcome: "Outcome") -> str:
    """Say in words what came of a trial."""
    value = outcome.value or {}
    if "score" not in value:
        return ""
    stopped = value["stopped_epoch"]
    score = "no score" if value["score"] is None else f"{plan.objective.name} {value['score']:.4f}"
    return score + ("" if stopped is None else f", stopped early after epoch {stopped}")


def _finish(plan: "SweepPlan", found: "SweepRun") -> int:
    """Print how far the sweep is, its best trial and the reasons of failed trials; return the exit status."""
    from dialogue_ser.evaluation.sweep.results import summary_lines

    for line in summary_lines(plan.objective, plan.sweep.metric, found.trials, found.folder):
        print(visible(line))
    for number, reason in found.failed.items():
        for line in shown_problems(reason.splitlines() or [""]):
            print(visible(f"failed: trial {number}: {line}"), file=sys.stderr)
    return 1 if found.failed else 0
