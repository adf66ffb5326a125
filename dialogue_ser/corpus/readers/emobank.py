"""EmoBank (Buechel & Hahn, EACL 2017): English sentences with valence, arousal and dominance, text only."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.parsing.files import PUBLISHED_FORMAT, read_rows
from dialogue_ser.corpus.parsing.rows import Row
from dialogue_ser.corpus.parsing.turns import ONLY_SPEAKER
from dialogue_ser.corpus.schema import VAD, Corpus, Dialogue, Utterance
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import CorpusError, MissingDataError, unknown_name

TABLE = "emobank.csv"
#: The authors' own splits.
SPLITS = ("train", "dev", "test")
#: Dimension → its column.
COLUMNS: Mapping[str, str] = dict(zip(VAD, "VAD", strict=True))
#: Smallest and largest value of a dimension; 3 is neutral.
SCALE = (1.0, 5.0)


def read_emobank(path: str | Path | None = None, labels: str = "emotion") -> Corpus:
    """Read ``emobank.csv`` with the columns id, split, V, A, D and text.

    Every sentence is a dialogue of one turn, in the authors' splits. Its id is the split and the sentence's own id:
    ``train/110CYL068_1036_1079``. Targets are valence, arousal and dominance, from 1 to 5: the mean over the
    perspective of the writer and of the people who read the sentence. The corpus names no speakers, so all turns have
    the same speaker. Some sentences ("Sincerely,") are in several splits. They stay, and the warnings count
    them.

    Args:
        path: folder of the file; None = ``find_data("emobank")``.
        labels: is ignored, because the corpus has no classes.

    Raises:
        MissingDataError: the folder or emobank.csv does not exist.
        CorpusError: a column is missing, a text is not UTF-8, a row has an unknown split, no id or the id of another
            row, or a value is not a number from 1 to 5. The error lists all of these.
    """
    folder = find_data("emobank") if path is None else Path(path)
    if not (folder / TABLE).is_file():
        raise MissingDataError(f"{folder}: {TABLE} is missing; give the folder that holds it (--data.path)")
    rows = read_rows(folder / TABLE, PUBLISHED_FORMAT)
    rows.require(["id", "split", *COLUMNS.values(), "text"])
    problems: list[str] = []
    first_origins: dict[str, str] = {}
    found: dict[str, list[Dialogue]] = {split: [] for split in SPLITS}
    for row in rows:
        row_problems = list(_row_problems(row, first_origins))
        problems += [f"{row.origin}: {problem}" for problem in row_problems]
        if not row_problems:
            turn = _utterance(row)
            found[row.values["split"].strip()].append(Dialogue(turn.id, (turn,)))
    corpus = Corpus(
        name="emobank",
        dimensions=VAD,
        splits={split: tuple(dialogues) for split, dialogues in found.items() if dialogues},
        licence="CC BY-SA 4.0 (EmoBank, Buechel & Hahn, EACL 2017); language: English",
    )
    if problems:
        raise CorpusError(*problems, *(corpus_problems(corpus) if corpus.splits else []))
    return corpus


def _row_problems(row: Row, first_origins: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with a row. ``first_origins`` gets id → origin of the first row with this id."""
    name, split = row.values["id"].strip(), row.values["split"].strip()
    if not name:
        yield "has no id; give the sentence one"
    elif first_origins.setdefault(name, row.origin) != row.origin:
        yield f"id {name!r} is also the id of {first_origins[name]}; give each sentence its own id"
    if split not in SPLITS:
        yield f"{unknown_name('split', split, SPLITS)}; correct it"
    for column in COLUMNS.values():
        if _value(row, column) is None:
            found = row.values[column].strip()
            yield f"{column} {found!r} is not a number from {SCALE[0]:g} to {SCALE[1]:g}; correct it"


def _value(row: Row, column: str) -> float | None:
    """Return the number in a cell; None = it is not a number on the scale."""
    try:
        value = float(row.values[column])
    except ValueError:
        return None
    return value if math.isfinite(value) and SCALE[0] <= value <= SCALE[1] else None


def _utterance(row: Row) -> Utterance:
    values = {name: _value(row, column) for name, column in COLUMNS.items()}
    return Utterance(
        id=f"{row.values['split'].strip()}/{row.values['id'].strip()}",
        speaker=ONLY_SPEAKER,
        text=row.values["text"] or None,
        origin=row.origin,
        targets={name: value for name, value in values.items() if value is not None},
    )
