"""Run a suite: its features, then its runs, then its results. The same call continues a suite that was stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.contents import CONTENTS, contents_record
from dialogue_ser.evaluation.suite.plan import Cell, Plan
from dialogue_ser.evaluation.suite.results import suite_results
from dialogue_ser.evaluation.suite.tuning import tuned_plan
from dialogue_ser.evaluation.suite.work import damage, epochs_done, has_results
from dialogue_ser.many.engines import JobEngine
from dialogue_ser.many.jobs import Job, Outcome, fingerprint_of
from dialogue_ser.many.progress import Progress, Silent
from dialogue_ser.many.run_many import failures, run_many
from dialogue_ser.runs.lock import run_lock
from dialogue_ser.runs.run_files import read_json, to_json
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.environment import config_hash

#: What a folder with a suite holds. Its name is that of the suite that was run last.
RESULTS = "results.json"
_WORK = "dialogue_ser.evaluation.suite.work"


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """What came of a suite.

    Args:
        folder: its folder.
        results: the content of ``results.json``.
        failed: key of a run → why it failed.
    """

    folder: Path
    results: Mapping[str, Any]
    failed: Mapping[str, str]


def run_suite(
    plan: Plan,
    out: Path,
    *,
    engine: JobEngine | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> SuiteRun:
    """Do all runs of a suite that are not finished, and write ``results.json``.

    A tuned suite first does its trials. The settings of the best trial on dev are those of its runs.

    Args:
        plan: the runs.
        out: folder of the suite. It gets ``suite.json`` (the list of its runs), ``runs/`` (the run directories),
            ``jobs/``, ``logs/`` and the results.
        engine: where the runs are done; None = in this process.
        progress: makes what shows the progress, from the word for what is counted; None = nothing is shown.

    Raises:
        ConfigError: the folder is used by another process, or cannot be created.
        DialogueSerError: no run at all is finished; the error has the reasons.
        KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM. The same call continues.
    """
    with run_lock(out):
        _refuse_other_suite(plan, out)
        work = _Work(plan, out, engine, progress or (lambda _what: Silent()))
        failed: dict[str, str] = {}
        rows = plan.rows
        if plan.suite.tuning is not None:
            trials = plan.trials(out)
            failed = work.do(trials, "trials")
            plan = tuned_plan(plan, trials, failed)
        cells = plan.cells(out)
        write_atomically(out / CONTENTS, to_json(contents_record(plan, cells, out, rows)))
        failed |= work.do(cells, "runs")
        finished = [cell for cell in cells if cell.key not in failed]
        if not finished:
            raise ConfigError(f"{out}: no run is finished", *(f"{key}: {why}" for key, why in failed.items()))
        results = suite_results(plan, finished, failed)
        write_atomically(out / RESULTS, to_json(results))
    return SuiteRun(folder=out, results=results, failed=failed)


@dataclass(frozen=True)
class _Work:
    """Does runs of a suite: first the features that they need, then the runs."""

    plan: Plan
    out: Path
    engine: JobEngine | None
    progress: Callable[[str], Progress]

    def do(self, cells: Sequence[Cell], what: str) -> dict[str, str]:
        """Do the runs that are not finished.

        Args:
            cells: the runs.
            what: word for them.

        Returns:
            key → reason of those that failed.
        """
        jobs = [_job(self.plan, cell) for cell in cells]
        unready = _make_features(cells, self.out, self.engine, self.progress("sets of features"))
        ready = [job for job, cell in zip(jobs, cells, strict=True) if cell.key not in unready]
        failed = failures({**unready, **run_many(ready, self.out, self.engine, self.progress(what))})
        damaged = {cell.key: damage(cell.folder) for cell in cells if cell.key not in failed}
        return failed | {key: problem for key, problem in damaged.items() if problem}


def _refuse_other_suite(plan: Plan, out: Path) -> None:
    """Refuse a folder that holds the results of another suite, so that no table is lost."""
    before = read_json(out / RESULTS).get("name")
    if before is not None and before != plan.suite.name:
        raise ConfigError(
            f"{out}: holds the results of the suite {before!r}, not of {plan.suite.name!r}; choose another --out"
        )


def _job(plan: Plan, cell: Cell) -> Job:
    """Return the job of one run."""
    is_crossval = plan.suite.protocol == "crossval"
    config = config_to_dict(cell.config)
    members = cell.config.training.ensemble
    return Job(
        key=cell.key,
        target=f"{_WORK}:{'cross_validate_cell' if is_crossval else 'train_cell'}",
        payload={"config": config, "folder": str(cell.folder.absolute())},
        fingerprint=cell.fingerprint,
        trusted=_code_of(config),
        is_complete=lambda: has_results(cell.folder),
        fraction=None if is_crossval else lambda: epochs_done(cell.folder) / (cell.config.training.epochs * members),
    )


def _code_of(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the code that a run may import: what its configuration names. The plan has refused what is not trusted."""
    return frozenset(one.name for one in code_in_settings(config))


def _make_features(
    cells: Sequence[Cell], out: Path, engine: JobEngine | None, progress: Progress
) -> dict[str, Outcome]:
    """Encode the features of the runs that are not finished, once for all of them, before several runs need them.

    Returns:
        key → outcome of the runs whose features cannot be made.
    """
    if engine is None:  # the runs come one after another in this process; each encodes what is missing
        return {}
    wanted: dict[str, list[Cell]] = {}
    for cell in cells:
        if not has_results(cell.folder) and cell.config.features:
            wanted.setdefault(config_hash(_data_of(cell)), []).append(cell)
    jobs, users = [], {}
    for name, group in wanted.items():
        config = config_to_dict(_data_of(group[0]))
        key = f"features of {group[0].key}"
        job = Job(
            key=key,
            target=f"{_WORK}:encode_features",
            payload={"config": config},
            fingerprint=fingerprint_of([name, "features"]),
            trusted=_code_of(config),
        )
        jobs.append(job)
        users[key] = group
    outcomes = run_many(jobs, out, engine, progress)
    unready: dict[str, Outcome] = {}
    for key, outcome in outcomes.items():
        if outcome.status != "finished":
            failed = replace(outcome, reason=f"its features cannot be made: {outcome.reason}")
            unready |= {cell.key: failed for cell in users[key]}
    return unready


def _data_of(cell: Cell) -> RunConfig:
    """Return the part of a configuration that its features follow from, with the defaults of all other settings."""
    config = cell.config
    return RunConfig(name="features", task=config.task, data=config.data, features=config.features)
