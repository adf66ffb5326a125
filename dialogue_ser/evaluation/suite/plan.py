"""The runs of a suite: one configuration and one folder for each system, encoder and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.labels import equal_labels, label_problem
from dialogue_ser.evaluation.suite.row_planner import RowPlanner
from dialogue_ser.evaluation.suite.rows import (
    Row,
    metric_problems,
    model_of,
    model_problems,
    name_problems,
    reference_problems,
    refuse_named_code,
    task_problems,
)
from dialogue_ser.evaluation.suite.suite_file import Suite, SuiteProtocol, read_suite
from dialogue_ser.evaluation.suite.trials import check_trials, with_trials
from dialogue_ser.many.jobs import fingerprint_of
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.environment import settings_checksum
from dialogue_ser.trust import Trust, source_hashes


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One run of a suite.

    Args:
        row: its row in the table.
        seed: its seed.
        trial: number of the trial; None = it is a run that is compared.
        config: its configuration.
        fingerprint: hash of everything in the configuration, and in the code that it names, that changes results.
        folder: its run directory.
    """

    row: Row
    seed: int
    config: RunConfig
    fingerprint: str
    folder: Path
    trial: int | None = None

    @property
    def key(self) -> str:
        """Its name, e.g. ``bigru/minilm/seed1`` or ``bigru/minilm/trial3``."""
        last = f"seed{self.seed}" if self.trial is None else f"trial{self.trial}"
        return "/".join(part for part in (self.row.system, self.row.encoder, last) if part)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All runs of a suite.

    Args:
        suite: the suite.
        rows: the rows of the table, in the order of the file.
    """

    suite: Suite
    rows: tuple[Row, ...]

    def cells(self, out: Path) -> list[Cell]:
        """Return the runs, in the order in which they begin: the first seed of every row comes first.

        A run directory has the hash of its settings in its name. A suite whose settings change gets new runs, and those
        of its other rows stay.

        Args:
            out: folder of the suite.
        """
        return [self._cell(row, row.config, seed, out) for seed in self.suite.seeds for row in self.rows]

    def trials(self, out: Path) -> list[Cell]:
        """Return the runs of the tuning, in the order in which they begin: the first trial of every row comes first.

        Trials of a row with the same settings are one run. A run that is compared later has the folder of the trial
        with its settings and its seed, so it is not repeated.

        Args:
            out: folder of the suite.
        """
        found: dict[Path, Cell] = {}
        rounds = max((len(row.trials) for row in self.rows), default=0)
        for number in range(rounds):
            for row in self.rows:
                trial = row.trials[number]
                cell = self._cell(row, trial.config, trial.config.seed, out, trial.number)
                found.setdefault(cell.folder, cell)
        return list(found.values())

    def _cell(self, row: Row, config: RunConfig, seed: int, out: Path, trial: int | None = None) -> Cell:
        tags = [row.system, row.encoder, f"seed{seed}", "" if trial is None else "trial"]
        wandb = replace(
            config.wandb,
            group=config.wandb.group or self.suite.name,
            tags=(*config.wandb.tags, *(tag for tag in tags if tag)),
            job_type=config.wandb.job_type or "suite",
        )
        config = replace(config, seed=seed, name=f"{row.system}-seed{seed}", wandb=wandb)
        code = sorted({one.name for one in code_in_settings(config_to_dict(config))})
        fingerprint = fingerprint_of(
            {
                "settings": settings_checksum(config),
                "crossval": self.suite.protocol == "crossval",
                **({"code": source_hashes(code)} if code else {}),
            }
        )
        parts = [part for part in (row.system, row.encoder) if part]
        folder = out.joinpath("runs", *parts, f"seed{seed}-{fingerprint[:8]}")
        return Cell(row=row, seed=seed, config=config, fingerprint=fingerprint, folder=folder, trial=trial)

    def reference_of(self, row: Row) -> Row | None:
        """Return the row that a row is compared with: the reference with the same encoder. None for the reference."""
        name = self.suite.reference
        if not name:
            return None
        exact = [one for one in self.rows if one.label == name]
        same_encoder = [one for one in self.rows if one.system == name and one.encoder == row.encoder]
        found = next(iter(exact or same_encoder), row)  # no trial of the reference may have finished
        return None if found is row else found


def read_plan(
    path: Path,
    *,
    systems: Mapping[str, str] | None = None,
    seeds: Sequence[int] | None = None,
    protocol: SuiteProtocol | None = None,
    trust_code: Trust = False,
) -> Plan:
    """Read a suite file and make its configurations.

    Args:
        path: the file.
        systems: further systems by flags: label → name of a model, e.g. ``package.module:Class``.
        seeds: seeds that replace those of the file.
        protocol: protocol that replaces the one of the file.
        trust_code: code that the file may name, see :mod:`~dialogue_ser.trust`.

    Raises:
        ConfigError: the file is wrong, or names code that is not trusted. The error has every problem with its line.
    """
    suite, problems = read_suite(path)
    if seeds is not None and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        problems.append(f"--seeds: found {list(seeds)}, expected different whole numbers of at least 0, e.g. [1, 2]")
    problems += _flag_problems(suite, systems or {})
    suite = replace(
        suite,
        seeds=tuple(seeds or suite.seeds),
        systems=_with_flags(suite.systems, systems or {}),
        protocol=protocol or suite.protocol,
    )
    planner = RowPlanner(suite, problems)
    rows = planner.rows()
    problems += reference_problems(suite, rows)
    problems += metric_problems(suite) if not problems else []
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    refuse_named_code(suite, rows, trust_code)
    problems += [problem for row in rows for problem in name_problems(suite, row) + model_problems(suite, row)]
    problems += task_problems(suite, rows)
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    if suite.tuning is not None:
        rows = with_trials(suite, rows, planner)
        refuse_named_code(suite, rows, trust_code)
        check_trials(suite, rows)
    return Plan(suite=suite, rows=tuple(rows))


def _flag_problems(suite: Suite, systems: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the labels that flags give."""
    labels = [*suite.systems, *(label for label in systems if label not in suite.systems)]
    return [
        *(f"--systems.{label}: {problem}" for label in systems if (problem := label_problem(label))),
        *(
            f"--systems.{label}: there is {earlier!r} already, and some file systems do not tell them apart; rename it"
            for label, earlier in equal_labels(labels)
            if label in systems
        ),
    ]


def _with_flags(systems: Mapping[str, Mapping[str, Any]], flags: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Return the systems of the file and of the flags. A system with the same model in both keeps its settings."""
    found = dict(systems)
    for label, name in flags.items():
        if label not in systems or model_of(systems[label]) != name:
            found[label] = {"model.name": name}
    return found
