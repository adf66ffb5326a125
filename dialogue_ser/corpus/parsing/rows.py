"""The records of a table as a file writes them: no cell is converted or guessed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dialogue_ser.errors import CorpusError, unknown_name

#: Advice for a header row that names no columns.
NAMES_FIRST = "the first row must name the columns: delete titles and remarks above it, and give every column a name"


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        number: number of the row as a spreadsheet counts: the header is row 1. A JSON Lines file has no header: there
            it is the number of the line. In any other JSON file it is the place of the turn, from 1.
        values: column → cell, exactly as the file writes it. "NA", "None" and "null" are texts. A JSON null is "".
        file: name of the file, for messages.
        block: number of the block of rows, from 1. Blank lines of the file end a block.
    """

    number: int
    values: Mapping[str, str]
    file: str
    block: int = 1

    @property
    def origin(self) -> str:
        """File and row, e.g. ``train_sent_emo.csv row 214``."""
        return f"{self.file} row {self.number}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a file, with the names of its columns.

    Args:
        path: the file.
        columns: names of the columns, in order.
        rows: the records, in order.
        notes: what the user should know about the way in which the file was read, one sentence each.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def delimiter_hint(self) -> str:
        """Text to add to an error about missing columns. It is "" unless the file may have another delimiter."""
        if len(self.columns) != 1:
            return ""
        first = [row.values[self.columns[0]] for row in self.rows[:100]]
        if any(sum(mark in cell for cell in first) > len(first) / 2 for mark in ",;\t|"):
            return f"; {NAMES_FIRST}"
        if self.columns[0].replace("_", "").isalnum():
            return ""
        return "; if another character stands between the cells, name it with the option delimiter"

    def require(self, names: Sequence[str]) -> None:
        """Check that columns exist.

        Raises:
            CorpusError: some are missing. The error names all of them, each with the most similar column.
        """
        missing = [name for name in names if name not in self.columns]
        if not missing:
            return
        hint = self.delimiter_hint
        raise CorpusError(*(f"{self.path}: {unknown_name('column', name, self.columns)}{hint}" for name in missing))
