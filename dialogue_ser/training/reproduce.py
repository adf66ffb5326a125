"""Make a run again from its directory: the same settings, seeds and number of threads, in a folder of its own.

The directory of the first run is only read. It says what the run was made of: config.yaml the settings and the seed,
environment.json the versions, the data, the machine, the device and the number of threads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.loop.devices import is_main_process, make_accelerator
from dialogue_ser.training.record.environment import record_differences, settings_checksum
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.run import Run, train
from dialogue_ser.trust import Trust

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the directory of a finished run says about it.

    Args:
        folder: the run directory.
        config: its settings.
        environment: content of environment.json.
    """

    folder: Path
    config: RunConfig
    environment: Mapping[str, Any]

    @property
    def threads(self) -> int:
        """The number of threads of the run; 0 = an old version did not record it."""
        return int(self.environment.get("threads") or 0)

    @property
    def n_ranks(self) -> int:
        """The number of processes of the run."""
        return int(self.environment.get("n_ranks") or 1)

    @property
    def is_from_gpu(self) -> bool:
        """Whether the run was trained on a GPU."""
        return str(self.environment.get("device", "cpu")) != "cpu"


def read_recorded(folder: Path, *, trust_code: Trust = False) -> Recorded:
    """Return what a run directory says about its run.

    Raises:
        MissingDataError: there is no such folder.
        DialogueSerError: it is not the directory of a finished training, or a file is damaged.
        ConfigError: its config.yaml names code that is not trusted.
    """
    run = RunFiles(folder)
    _check_kind(run)
    if not RunDirectory(folder).is_finished:
        raise DialogueSerError(
            f"{folder}: the run is not finished, so there is nothing to compare with; continue it with dialogue-ser "
            f"train --resume {folder}"
        )
    if not RunDirectory(folder).has_outputs:
        raise DialogueSerError(
            f"{folder}: the predictions or the model of the run are missing or damaged, so there is nothing to compare "
            f"with; make them again with dialogue-ser train --resume {folder}"
        )
    config = load_config(folder / "config.yaml", trust_code=trust_code)
    if not run.environment:
        logger.warning("%s: environment.json is missing, so nobody knows which versions and data the run had", folder)
    return Recorded(folder=folder, config=config, environment=run.environment)


def reproduce(
    recorded: Recorded,
    out: Path,
    *,
    threads: int | None = None,
    data_path: str | None = None,
    resume: bool = False,
    allow_mismatch: bool = False,
    progress: bool | None = None,
    store: FeatureStore | None = None,
    announce: Callable[[Sequence[str]], None] | None = None,
) -> Run:
    """Train a run again in another folder. It sends nothing to W&B.

    Args:
        recorded: the run.
        out: folder of the new run; outside the folder of the run.
        threads: number of threads; None = as recorded.
        data_path: where the corpus lies now; None = where it lay.
        resume: continue a repetition that was stopped.
        allow_mismatch: train even if the corpus or config.yaml is not that of the run.
        progress: whether to show a progress bar; None = only on a terminal.
        store: feature store; None = the default store.
        announce: is called with one sentence for everything that differs, before the training begins.

    Raises:
        ConfigError: ``out`` holds something or lies inside the run; the run had another number of processes; or the
            corpus or the settings differ.
        Other errors: as :func:`~dialogue_ser.training.run.train`.
    """
    _check_out(recorded.folder, out)
    if threads is not None and threads < 1:
        raise ConfigError(f"--threads: found {threads}, expected at least 1, or recorded")
    config = _config_again(recorded, threads, data_path)
    accelerator = make_accelerator(config.training)
    if accelerator.num_processes != recorded.n_ranks:
        raise ConfigError(
            f"{recorded.folder}: the run had {recorded.n_ranks} processes, and here is {accelerator.num_processes}, so "
            f"its numbers would differ; start the command with {_launcher(recorded.n_ranks)}"
        )
    n_threads = threads or recorded.threads
    if n_threads:
        torch.set_num_threads(n_threads)

    announced = []

    def compare(environment: Mapping[str, Any]) -> None:
        announced.append([*_settings_problems(recorded), *record_differences(recorded.environment, environment)])
        if announce is not None and is_main_process():
            announce(announced[0])
        if not allow_mismatch:
            _refuse_other_data(recorded, environment)

    run = train(config, out, resume=resume, progress=progress, store=store, on_environment=compare)
    if not announced:  # the repetition was finished already
        compare(RunFiles(out).environment)
    return run


def _config_again(recorded: Recorded, threads: int | None, data_path: str | None) -> RunConfig:
    """Return the settings of the new run."""
    config = replace(recorded.config, wandb=replace(recorded.config.wandb, mode="disabled"))
    if recorded.environment.get("device") == "cpu":  # this machine may have a GPU, and the setting may be auto
        config = replace(config, training=replace(config.training, device="cpu"))
    if threads is not None and config.training.threads:
        config = replace(config, training=replace(config.training, threads=threads))
    return config if data_path is None else replace(config, data=replace(config.data, path=data_path))


def _check_kind(run: RunFiles) -> None:
    """Raise DialogueSerError if a folder holds no training that can be made again."""
    folder, kind = run.folder, None
    advice = "name the folder of one training"
    folds = sorted(one for one in (folder / "folds").glob("*") if (one / "config.yaml").is_file())
    runs = sorted((folder / "runs").glob("*/**/config.yaml"))
    if (folder / "folds").is_dir():
        kind = "a cross-validation"
        advice = f"name one of its folds, e.g. {folds[0]}" if folds else "its folds fit estimators; run crossval again"
    elif runs and not (folder / "config.yaml").is_file():
        kind, advice = "a suite", f"name one of its runs, e.g. {runs[0].parent}"
    elif (folder / "fold.parquet").is_file() and not (folder / "config.yaml").is_file():
        kind, advice = "a fold of an estimator", "run the same dialogue-ser crossval command again with another --out"
    elif run.scores.get("kind") == "new-data":
        kind, advice = "an evaluation on new data", "name the run itself"
    elif run.environment.get("members") is not None:
        kind = "an average of finished runs, so nothing was trained for it"
        advice = f"name a member, e.g. {folder / 'members' / '1'}; then average the new runs with dialogue-ser ensemble"
    elif not (folder / "config.yaml").is_file():
        kind = "no run directory (config.yaml is missing)"
    if kind is not None:
        raise DialogueSerError(f"{folder}: is {kind}; {advice}")


def _check_out(folder: Path, out: Path) -> None:
    """Raise ConfigError if the new run would change the directory of the first one."""
    inside, outside = out.resolve(), folder.resolve()
    if inside == outside or outside in inside.parents:
        raise ConfigError(f"{out}: lies in the folder of the run, which stays as it is; choose another --out")


def _settings_problems(recorded: Recorded) -> list[str]:
    """Say whether config.yaml was changed after the run."""
    expected = recorded.environment.get("settings_sha256")
    if expected is None or expected == settings_checksum(recorded.config):
        return []
    return ["config.yaml: was changed; its settings are not those that the run started with"]


def _refuse_other_data(recorded: Recorded, environment: Mapping[str, Any]) -> None:
    """Raise ConfigError if the corpus or the settings are not those of the run."""
    before, now = recorded.environment.get("corpus_fingerprint"), environment["corpus_fingerprint"]
    problems = [f"{recorded.folder}: {problem}" for problem in _settings_problems(recorded)]
    if before is not None and before != now:
        problems.append(
            f"{recorded.folder}: the corpus is not that of the run (its fingerprint differs); restore the data, or "
            "name their place with --data_path. A corpus that Python code gave to the training cannot be read again"
        )
    if problems:
        raise ConfigError(*problems, f"{recorded.folder}: add --allow-mismatch to train nevertheless")


def _launcher(n_ranks: int) -> str:
    return "python" if n_ranks == 1 else f"torchrun --nproc_per_node {n_ranks} -m dialogue_ser.cli.main"
