"""The predictions of all systems of a suite for the same turns, seed by seed and averaged over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.suite.contents import SeedRun, SuiteContents
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of
from dialogue_ser.tasks.base import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class SystemTurns:
    """The predictions of one system.

    Args:
        label: its name in the table of the suite.
        reference: name of the system that it is compared with; "" = none.
        seeds: the seeds of its finished runs.
        tables: one table for each seed. All systems have the same turns in the same order.
        task: task of the suite.
    """

    label: str
    reference: str
    seeds: tuple[int, ...]
    tables: tuple[Predictions, ...]
    task: Task

    @cached_property
    def numbers_NS(self) -> FloatArray:
        """Probabilities or values, averaged over seeds."""
        names = list(self.task.number_columns)
        seeds = [table.frame[names].to_numpy(dtype=np.float64) for table in self.tables]
        mean_NS: FloatArray = np.mean(seeds, axis=0)
        return mean_NS

    @cached_property
    def averaged(self) -> Predictions:
        """The table of the averaged numbers. A label in it is the class with the highest mean probability."""
        first = self.tables[0]
        return replace(first, frame=self.task.with_numbers(first.frame, self.numbers_NS))

    @cached_property
    def score(self) -> float:
        """The default metric of the task, the mean over seeds."""
        return float(np.mean([table.value(METRICS[self.task.default_metric]) or 0.0 for table in self.tables]))


@dataclass(frozen=True, kw_only=True, eq=False)
class SuiteTurns:
    """The turns of one split, with the predictions of every system.

    Args:
        contents: what the folder of the suite holds.
        split: the split.
        task: task of the suite.
        turns: the turns with gold; the predictions in it are those of one of the runs.
        systems: the systems with a finished run, in the order of the suite.
        train_speakers: the speakers of the train turns of all systems; None = not known.
        run: the run that ``turns`` comes from.
        notes: what was left out, and why, one sentence each.
    """

    contents: SuiteContents
    split: str
    task: Task
    turns: Predictions
    systems: tuple[SystemTurns, ...]
    train_speakers: frozenset[str] | None
    run: RunFiles
    notes: tuple[str, ...]

    def system(self, label: str) -> SystemTurns:
        """Return the system with a label that exists."""
        return next(system for system in self.systems if system.label == label)

    @property
    def ranked(self) -> list[SystemTurns]:
        """The systems, the best one first."""
        sign = METRICS[self.task.default_metric].sign
        return sorted(self.systems, key=lambda system: -sign * system.score)


def read_suite_turns(contents: SuiteContents, split: str) -> SuiteTurns:
    """Read the predictions of all finished runs of a suite.

    A run that cannot be read, or that has other turns than the first one, is left out with a note.

    Args:
        contents: what the folder of the suite holds.
        split: split to read.

    Raises:
        DialogueSerError: no run can be used; the error has the reasons.
    """
    reader = _Reader(contents, split)
    references = {row.reference for row in contents.rows}
    found: dict[str, SystemTurns] = {}
    # A reference is read first, because the first run says what the turns are.
    for row in sorted(contents.rows, key=lambda row: row.label not in references):
        tables = {run.seed: table for run in row.runs if (table := reader.table(run)) is not None}
        if tables:
            assert reader.task is not None
            found[row.label] = SystemTurns(
                label=row.label,
                reference=row.reference,
                seeds=tuple(tables),
                tables=tuple(tables.values()),
                task=reader.task,
            )
    if reader.task is None or reader.first is None or reader.run is None:
        missing = [
            f"{contents.folder}: {key} is not finished; continue the suite with dialogue-ser benchmark"
            for key in contents.missing
        ]
        raise DialogueSerError(f"{contents.folder}: no run can be analysed", *reader.problems, *missing)
    labels = [row.label for row in contents.rows if row.label in found]
    return SuiteTurns(
        contents=contents,
        split=split,
        task=reader.task,
        turns=reader.first,
        systems=tuple(_with_known_reference(found[label], labels) for label in labels),
        train_speakers=None if reader.train_speakers is None else frozenset(reader.train_speakers),
        run=reader.run,
        notes=tuple(f"Left out: {problem}." for problem in reader.problems),
    )


def _with_known_reference(system: SystemTurns, labels: Sequence[str]) -> SystemTurns:
    return system if system.reference in labels else replace(system, reference="")


class _Reader:
    """Reads the runs of a suite one after another. The first one says what the turns, the classes and the gold are."""

    def __init__(self, contents: SuiteContents, split: str) -> None:
        self._contents, self._split = contents, split
        self.first: Predictions | None = None
        self.task: Task | None = None
        self.run: RunFiles | None = None
        self.train_speakers: set[str] | None = None if contents.protocol == "crossval" else set()
        self.problems: list[str] = []

    def table(self, run: SeedRun) -> Predictions | None:
        """Return the turns of a run in the order of the first one; None if it is not finished or cannot be used."""
        if not run.is_finished:
            return None
        try:
            files = RunFiles(run.folder)
            every = files.predictions
            table = every.split(self._split)
            if not table.has_gold:
                raise DialogueSerError(f"{run.folder}: split {self._split!r} has no labelled turn")
            if self.first is None:
                self.first, self.run, self.task = table, files, task_of(table, files.config.get("data"))
            found = table if table is self.first else table.aligned_to(self.first)
        except DialogueSerError as error:
            self.problems += [f"{run.key}: {problem}" for problem in error.problems[:1]]
            return None
        self._add_train_speakers(every, files.config)
        return found

    def _add_train_speakers(self, every: Predictions, config: Mapping[str, Any]) -> None:
        if self.train_speakers is None:
            return
        train = str((config.get("data") or {}).get("train", "train")).split("+")
        is_train_N = every.frame["split"].isin(train)
        if is_train_N.any():
            self.train_speakers |= {str(name) for name in every.frame["speaker"][is_train_N].unique()}
