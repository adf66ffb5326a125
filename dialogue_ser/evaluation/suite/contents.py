"""The contents of the folder of a suite: its rows, and the run directories of their seeds. ``suite.json`` lists them.

:func:`~dialogue_ser.evaluation.suite.run_suite.run_suite` writes the file before the first run begins. The folder of a
suite that was stopped can therefore be read too, and so can a folder that was moved: all paths are relative to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.runs.run_files import read_json

if TYPE_CHECKING:  # the folder can be read without what a plan needs, e.g. torch
    from dialogue_ser.evaluation.suite.plan import Cell, Plan
    from dialogue_ser.evaluation.suite.rows import Row

#: Name of the file.
CONTENTS = "suite.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One run of a suite.

    Args:
        key: its name, e.g. ``bigru/minilm/seed1``.
        seed: its seed.
        folder: its run directory; it need not exist.
    """

    key: str
    seed: int
    folder: Path

    @property
    def is_finished(self) -> bool:
        """Whether its predictions are there. Its model need not be there, because a copy may lack it."""
        return (self.folder / "predictions.parquet").is_file()


@dataclass(frozen=True, kw_only=True)
class SuiteRow:
    """One row of the table of a suite.

    Args:
        label: its name.
        reference: name of the row that it is compared with; "" = none.
        runs: its runs, one for each seed.
    """

    label: str
    reference: str
    runs: tuple[SeedRun, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteContents:
    """What the folder of a suite holds.

    Args:
        folder: the folder.
        name: name of the suite.
        description: one sentence about it; may be empty.
        protocol: how the scores are made.
        split: split that is reported.
        rows: the rows of the table, in the order of the suite.
        lost: runs whose place is not known: all trials of their system failed, or they failed under an earlier version.
    """

    folder: Path
    name: str
    description: str
    protocol: str
    split: str
    rows: tuple[SuiteRow, ...]
    lost: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys of the runs that are not finished."""
        return (*(run.key for row in self.rows for run in row.runs if not run.is_finished), *self.lost)


def contents_record(plan: "Plan", cells: Sequence["Cell"], out: Path, rows: Sequence["Row"]) -> dict[str, Any]:
    """Return the content of ``suite.json``.

    Args:
        plan: the suite. A row whose trials all failed is not in it.
        cells: its runs.
        out: its folder.
        rows: all rows of the suite.
    """
    known = {row.label for row in plan.rows}
    references = {row.label: plan.reference_of(row) for row in plan.rows}
    return {
        "format": FORMAT,
        "kind": "suite-contents",
        "name": plan.suite.name,
        "description": plan.suite.description,
        "protocol": plan.suite.protocol,
        "split": plan.suite.split,
        "rows": [
            {
                "label": row.label,
                "reference": reference.label if (reference := references[row.label]) else "",
                "runs": [
                    {"key": cell.key, "seed": cell.seed, "folder": cell.folder.relative_to(out).as_posix()}
                    for cell in cells
                    if cell.row is row
                ],
            }
            for row in plan.rows
        ],
        "failed": [f"{row.label.replace(' · ', '/')}: its trials" for row in rows if row.label not in known],
    }


def read_contents(folder: Path) -> SuiteContents:
    """Return what the folder of a suite holds, from ``suite.json``, or from ``results.json`` of an earlier version.

    Raises:
        MissingDataError: the folder does not exist or has neither file.
        DialogueSerError: the file is damaged.
    """
    for name, read in ((CONTENTS, _rows_of_contents), ("results.json", _rows_of_results)):
        record = read_json(folder / name)
        if not record:
            continue
        try:
            return SuiteContents(
                folder=folder,
                name=str(record["name"]),
                description=str(record["description"]),
                protocol=str(record["protocol"]),
                split=str(record["split"]),
                rows=tuple(read(record, folder)),
                lost=tuple(map(str, record.get("failed", ()))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DialogueSerError(
                f"{folder / name}: does not describe a suite ({type(error).__name__}: {error}); give the command "
                "dialogue-ser benchmark again, which writes the file"
            ) from error
    found = "is a file" if folder.is_file() else "no such folder"
    problem = "is not the folder of a suite" if folder.is_dir() else found
    raise MissingDataError(
        f"{folder}: {problem}; give the folder that dialogue-ser benchmark SUITE.yaml has written, e.g. runs/NAME"
    )


def _rows_of_contents(record: Mapping[str, Any], folder: Path) -> list[SuiteRow]:
    return [
        SuiteRow(
            label=str(row["label"]),
            reference=str(row["reference"]),
            runs=tuple(
                SeedRun(key=str(run["key"]), seed=int(run["seed"]), folder=_inside(folder, run["folder"]))
                for run in row["runs"]
            ),
        )
        for row in record["rows"]
    ]


def _rows_of_results(record: Mapping[str, Any], folder: Path) -> list[SuiteRow]:
    """Return the rows of ``results.json``. It has only those with a finished run."""
    return [
        SuiteRow(
            label=str(row["label"]),
            reference=str((row["comparison"] or {}).get("reference", "")),
            runs=tuple(
                SeedRun(key=f"{row['label'].replace(' · ', '/')}/seed{seed}", seed=seed, folder=_inside(folder, path))
                for seed, path in zip(row["seeds"], row["folders"], strict=True)
            ),
        )
        for row in record["rows"]
    ]


def _inside(folder: Path, path: str) -> Path:
    """Return a path inside the folder of the suite.

    Raises:
        ValueError: it leads out of the folder.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{path!r} lies outside the folder")
    return folder / relative
