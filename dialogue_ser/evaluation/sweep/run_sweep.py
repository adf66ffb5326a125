"""Run a sweep: hand out its trials until there are enough. The same call continues a sweep, also on other machines."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dialogue_ser.durable import write_atomically
from dialogue_ser.encoders import find_trained
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.sweep.dispatch import Trials
from dialogue_ser.evaluation.sweep.plan import SweepPlan, changes
from dialogue_ser.evaluation.sweep.storage import Place, import_optuna
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.evaluation.sweep.trial import ENDED, Trial
from dialogue_ser.many.engines import InProcess, JobEngine
from dialogue_ser.many.jobs import Job, fingerprint_of
from dialogue_ser.many.progress import Progress, Silent
from dialogue_ser.many.run_many import do_jobs, failures, run_many, sigterm_ends
from dialogue_ser.runs.run_files import read_json, to_json
from dialogue_ser.search_space.shapes import leaves
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.environment import config_hash

logger = logging.getLogger(__name__)

#: File that tells the folder of a sweep from others, and the copy of the sweep file in it.
CONTENTS, COPY = "sweep.json", "sweep.yaml"
_WAIT_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """What came of a call.

    Args:
        folder: folder of the sweep.
        trials: all trials of the sweep.
        failed: number of a trial that this call has done and that failed → why.
    """

    folder: Path
    trials: tuple[Trial, ...]
    failed: Mapping[int, str]


def run_sweep(
    plan: SweepPlan,
    out: Path,
    *,
    storage: str | None = None,
    retry_failed: bool = False,
    engine: JobEngine | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> SweepRun:
    """Do the trials of a sweep. Several processes, also on several machines, may do this with one storage.

    Args:
        plan: what the sweep is to do.
        out: folder of the sweep. It gets a run directory for each trial, ``jobs/``, ``logs/``, a copy of the file and,
            without ``storage``, the journal of the trials.
        storage: URL of a database, or path of an Optuna journal.
        retry_failed: do the trials again that have failed. Otherwise they stay failed.
        engine: where the trials are done; None = in this process.
        progress: makes what shows the progress, from the word for what is counted; None = nothing is shown.

    Raises:
        ConfigError: the file or an option is wrong, or the sweep in the storage is another one.
        MissingDataError: optuna is not installed.
        KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM. The same call continues.
    """
    optuna = import_optuna()
    plan.check()
    try:
        return _run(plan, out, storage, retry_failed, engine, progress)
    except optuna.exceptions.StorageInternalError as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ConfigError(
            f"{Place.of(storage, out).shown}: the storage cannot be used ({cause}); the same command continues"
        ) from error


def _run(
    plan: SweepPlan,
    out: Path,
    storage: str | None,
    retry_failed: bool,
    engine: JobEngine | None,
    progress: Callable[[str], Progress] | None,
) -> SweepRun:
    make = progress or (lambda _what: Silent())
    study = _open(plan, out, storage)
    if retry_failed:
        study.try_failed_again()
    _make_features(plan, out, engine, make)
    shown = make("trials")
    trials = Trials(plan, study, out, shown)
    with shown, sigterm_ends():
        done = sum(trial.state in ENDED for trial in study.trials())
        shown.begin(None if plan.limit == float("inf") else max(int(plan.limit), done), done)
        try:
            while True:
                do_jobs(trials, out, engine or InProcess(), shown, trials.ended, trials.tick)
                if not trials.has_unknown():
                    break
                trials.tick()
                time.sleep(_WAIT_SECONDS)
        finally:
            trials.release_all()
    return SweepRun(folder=out, trials=tuple(study.trials()), failed=trials.failed)


def _open(plan: SweepPlan, out: Path, storage: str | None) -> SweepStudy:
    """Open the study of the sweep, and write the files that describe its folder.

    Raises:
        ConfigError: the storage has a sweep of this name with other content, or the folder belongs to another one.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; choose another --out")
    record = plan.record()
    place = Place.of(storage, out)
    if (out / "config.yaml").exists() or (out / "suite.json").exists():
        raise ConfigError(f"{out}: holds a run or a suite; choose another --out")
    here = read_json(out / CONTENTS)
    if here and here.get("name") != plan.name:
        raise ConfigError(f"{out}: holds the sweep {here.get('name')!r}, not {plan.name!r}; choose another --out")
    study = SweepStudy.create(place, plan.name, record, plan.objective.goal)
    before = study.record()
    found = changes(before, record)
    if before["fingerprint"] != record["fingerprint"] and not found:
        found = ["the content of the file has changed"]
    if found:
        where = f"{plan.sweep.path}: the sweep {plan.name!r} in {place.shown} was begun with other settings"
        mend = "continue with the old ones, or give the changed sweep another name (key name, or --out and --storage)"
        raise ConfigError(*(f"{where}: {change}" for change in found), f"{plan.sweep.path}: {mend}")
    if here and here.get("id") != before["id"]:
        raise ConfigError(
            f"{out}: the runs there are those of another storage; give the --storage with which they were made, or "
            "choose another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    if not (out / COPY).is_file():
        write_atomically(out / COPY, plan.sweep.path.read_bytes())
    write_atomically(out / CONTENTS, to_json({"kind": "sweep", "name": plan.name, "id": before["id"]}))
    return study


def _make_features(plan: SweepPlan, out: Path, engine: JobEngine | None, progress: Callable[[str], Progress]) -> None:
    """Encode the frozen features once, before several trials need them.

    Trials with features of their own, and cross-validations, do it alone. The store lets them share what they encode.

    Raises:
        ConfigError: the features cannot be made.
    """
    varies = any(".".join(path).startswith(("data", "features")) for path in leaves(plan.sweep.parameters))
    if engine is None or varies or not plan.limit:
        return
    settings = plan.settings_of(plan.values_of(0))
    whole = settings.config
    if settings.is_crossval or all(find_trained(one.encoder) is not None for one in whole.features.values()):
        return
    config = RunConfig(name="features", task=whole.task, data=whole.data, features=whole.features)
    values = config_to_dict(config)
    job = Job(
        key="features",
        target="dialogue_ser.evaluation.suite.work:encode_features",
        payload={"config": values},
        fingerprint=fingerprint_of([config_hash(config), "features"]),
        trusted=frozenset(one.name for one in code_in_settings(values)),
    )
    failed = failures(run_many([job], out, engine, progress("sets of features")))
    if failed:
        problems = failed["features"].splitlines()
        raise ConfigError(*(f"{plan.sweep.path}: the features cannot be made: {problem}" for problem in problems))
