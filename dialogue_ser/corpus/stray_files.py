"""Files that a reader cannot use as they lie: each is an error, or it is set aside and a warning names it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class SetAside:
    """Collect the files that are in a wrong folder, have the name of another file, or a name that says nothing.

    Args:
        folder: folder of the corpus. Messages name the files relative to it.
        on_bad: ``error`` or ``mask`` (set the files aside).
        found: one sentence for each file, without a remedy; then the remedy.
    """

    folder: Path
    on_bad: str
    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, file: Path | str, problem: str, mend: str = "move it out of the folder") -> None:
        """Collect a file, what is wrong with it, and what the user can do."""
        self.found.append((f"{self.name(file)}: {problem}", mend))

    def name(self, file: Path | str) -> str:
        """Return the path of a file inside the corpus, with slashes."""
        path = Path(file)
        return (path.relative_to(self.folder) if path.is_relative_to(self.folder) else path).as_posix()

    @property
    def problems(self) -> list[str]:
        """One sentence for each file, or none if the files are set aside."""
        if self.on_bad == "mask":
            return []
        return [f"{problem}; {mend}, or set it aside (--data.on_bad mask)" for problem, mend in self.found]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each file that is set aside."""
        return [f"set aside: {problem}" for problem, _ in self.found] if self.on_bad == "mask" else []


def one_of_each_name(files: Iterable[tuple[Path, str]], aside: SetAside) -> list[Path]:
    """Return the files that can be used: for each name one file that lies where it belongs. The others are set aside.

    Args:
        files: each file, and what is wrong with the folder in which it lies ("" = it lies where it belongs).
        aside: gets the other files.
    """
    by_name: dict[str, list[tuple[Path, str]]] = {}
    for file, misplaced in files:
        by_name.setdefault(file.stem, []).append((file, misplaced))
    kept = []
    for group in by_name.values():
        right = next((file for file, misplaced in group if not misplaced), None)
        if right is not None:
            kept.append(right)
        for file, misplaced in group:
            if file != right:
                others = [other for other, _ in group if other != file]
                aside.add(file, _problem(misplaced, right, others, aside))
    return kept


def _problem(misplaced: str, right: Path | None, others: Sequence[Path], aside: SetAside) -> str:
    if right is None and not others:
        return misplaced
    same = aside.name(right or others[0])
    return f"{misplaced}; {same} has the same name" if misplaced else f"has the same name as {same}"
