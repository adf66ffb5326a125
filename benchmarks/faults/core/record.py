"""What a campaign remembers, and its result."""

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.faults.core.case import SURVIVED, Family
from dialogue_ser.report.sections.tables import render_markdown

ROOT = Path(__file__).parents[3]
RESULT = ROOT / "benchmarks" / "results" / "faults.json"
PACKAGES = ("dialogue-ser", "torch", "safetensors", "soundfile", "av", "pandas", "pyarrow", "PyYAML")
_MOST_FAILURES = 100


@dataclass(frozen=True)
class Tried:
    """The outcome of one case.

    Args:
        family: name of the family.
        case: number in the family.
        how: the verdict, see :data:`~benchmarks.faults.core.case.How`.
        what: the fault and what followed.
        seconds: how long it took.
    """

    family: str
    case: int
    how: str
    what: str
    seconds: float


class WorkFolder:
    """The folder of a campaign: ``campaign.json`` has its settings, ``outcomes.jsonl`` a line for every case.

    Args:
        root: the folder; it is created.
        seed: seed of the campaign.
        is_quick: whether it is the quick campaign.

    Raises:
        ValueError: the folder holds a campaign with another seed, or of another state of the code.
    """

    def __init__(self, root: Path, *, seed: int, is_quick: bool) -> None:
        self.root = root.resolve()
        self.seed = seed
        self.is_quick = is_quick
        self.revision = _revision()
        self._outcomes = self.root / "outcomes.jsonl"
        mine = {"seed": seed, "revision": self.revision}
        path = self.root / "campaign.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            differences = [
                f"{key} {found.get(key)} there, {mine[key]} now" for key in mine if found.get(key) != mine[key]
            ]
            if differences:
                raise ValueError(
                    f"--work {root}: holds another campaign ({'; '.join(differences)}); choose another folder, or "
                    "delete this one"
                )
        self.root.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(mine) + "\n", encoding="utf-8")

    def material(self, family: str) -> Path:
        """Return the folder of what a family prepared."""
        return self.root / "material" / family

    def scratch(self, family: str, number: int) -> Path:
        """Return the folder of one case."""
        return self.root / "cases" / f"{family}-{number}"

    def known(self) -> dict[tuple[str, int], Tried]:
        """Return the recorded outcomes. A line that was cut by a kill is left out; its case is tried again."""
        found = {}
        if self._outcomes.is_file():
            for line in self._outcomes.read_text(encoding="utf-8").splitlines():
                try:
                    tried = Tried(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                found[tried.family, tried.case] = tried
        return found

    def add(self, tried: Tried) -> None:
        """Record an outcome, on a line of its own even if a kill cut the line before."""
        is_cut = self._outcomes.is_file() and not self._outcomes.read_bytes().endswith(b"\n")
        with self._outcomes.open("a", encoding="utf-8") as file:
            file.write("\n" * is_cut + json.dumps(dataclasses.asdict(tried), ensure_ascii=False) + "\n")


def _revision() -> str:
    """Return the commit of the checkout, and whether files of the code differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def finished(outcomes: Sequence[Tried], numbers: Mapping[str, range]) -> bool:
    """Whether every case has an outcome."""
    return {(tried.family, tried.case) for tried in outcomes} == {
        (n, i) for n, chosen in numbers.items() for i in chosen
    }


def summary_of(outcomes: Sequence[Tried], families: Mapping[str, Family]) -> list[dict[str, Any]]:
    """Return one row for every family: tries, how they ended, and the longest time."""
    rows = []
    for name, family in families.items():
        own = [tried for tried in outcomes if tried.family == name]
        counts = {how: sum(tried.how == how for tried in own) for how in (*SURVIVED, "failed")}
        rows.append(
            {
                "family": name,
                "fault": family.fault,
                "one_try": family.one_try,
                "survives": family.survives,
                "tries": len(own),
                "survived": len(own) - counts["failed"],
                **counts,
                "worst_seconds": max((tried.seconds for tried in own), default=0.0),
            }
        )
    return rows


def failures_of(outcomes: Sequence[Tried]) -> list[dict[str, Any]]:
    """Return the cases that did not survive."""
    failed = sorted((t for t in outcomes if t.how not in SURVIVED), key=lambda t: (t.family, t.case))
    return [{"family": t.family, "case": t.case, "what": t.what} for t in failed]


def render(rows: Sequence[Mapping[str, Any]], *, name: str = "family") -> str:
    """Return the table: the fault, how many tries survived and how, and the longest try.

    Args:
        rows: rows of :func:`summary_of`.
        name: what the first column shows: ``family`` (a short name) or ``fault`` (a sentence).
    """
    return render_markdown(
        [
            {
                "fault": row[name],
                **({"one try": row["one_try"]} if name == "fault" else {}),
                "tries": row["tries"],
                "survived": row["survived"],
                "right result": row["equal"],
                "clear refusal": row["refused"],
                "right but for the damaged part": row["local"],
                "another result, with a warning": row["said"],
                "longest try": f"{row['worst_seconds']:.1f} s",
            }
            for row in rows
        ]
    )


def write_result(
    path: Path, rows: Sequence[Mapping[str, Any]], outcomes: Sequence[Tried], work: WorkFolder, command: str
) -> None:
    """Write the result as JSON."""
    failures = failures_of(outcomes)
    result = {
        "what": "Faults that the library was exposed to, and how many it survived",
        "protocol": "every case in a process of its own with a limit of time and memory; survived = the right result, "
        "a clear refusal without a traceback, or another result with a warning where the input is ambiguous; the "
        "faults are drawn from the seed, except the moments at which the operating system runs processes",
        "is_quick": work.is_quick,
        "seed": work.seed,
        "command": command,
        "revision": work.revision,
        "versions": {name: version(name) for name in PACKAGES},
        "machine": {"platform": platform.platform(), "cpu_count": os.cpu_count()},
        "minutes_of_all_cases": round(sum(tried.seconds for tried in outcomes) / 60, 1),
        "rows": list(rows),
        "n_failures": len(failures),
        "failures": failures[:_MOST_FAILURES],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
