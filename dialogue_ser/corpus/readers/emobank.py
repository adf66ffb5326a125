"""EmoBank (Buechel & Hahn, EACL 2017): English sentences with valence, arousal and dominance, text only."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.parsing.rows import Row, read_rows
from dialogue_ser.corpus.parsing.turns import ONLY_SPEAKER
from dialogue_ser.corpus.schema import VAD, Corpus, Dialogue, Utterance
from dialogue_ser.corpus.validate import problems_of
from dialogue_ser.errors import CorpusError, MissingDataError, unknown_name

TABLE = "emobank.csv"
#: The authors' own, in this order.
SPLITS = ("train", "dev", "test")
#: Dimension → its column.
COLUMNS: Mapping[str, str] = dict(zip(VAD, "VAD", strict=True))
#: Smallest and largest value; 3 is neutral.
SCALE = (1.0, 5.0)


def read_emobank(path: str | Path | None = None, labels: str = "emotion") -> Corpus:
    """Read ``emobank.csv``: columns id, split, V, A, D and text.

    Every sentence is a dialogue of one turn, with id ``train/110CYL068_1036_1079`` after its split and its own id, in
    the authors' train, dev and test. Targets are valence, arousal and dominance, from 1 to 5, the mean of readers' and
    writers' perspectives. There are no speakers: all turns share one. Some sentences ("Sincerely,") stand in several
    splits, word for word; they stay and are counted in the warnings.

    Args:
        path: folder of the file; None = ``find_data("emobank")``.
        labels: does not matter: the corpus has no classes.

    Raises:
        MissingDataError: no such folder, or no emobank.csv in it.
        CorpusError: missing columns, texts that are not UTF-8, rows with an unknown split, without an id or with one
            that stands there twice, values that are no numbers from 1 to 5: all of them.
    """
    folder = find_data("emobank") if path is None else Path(path)
    if not (folder / TABLE).is_file():
        raise MissingDataError(f"{folder}: {TABLE} is missing; give the folder that holds it (--data.path)")
    rows = read_rows(folder / TABLE)
    rows.require(["id", "split", *COLUMNS.values(), "text"])
    problems: list[str] = []
    first: dict[str, str] = {}
    found: dict[str, list[Dialogue]] = {split: [] for split in SPLITS}
    for row in rows:
        wrong = list(_row_problems(row, first))
        problems += [f"{row.origin}: {problem}" for problem in wrong]
        if not wrong:
            turn = _utterance(row)
            found[row.values["split"].strip()].append(Dialogue(turn.id, (turn,)))
    corpus = Corpus(
        name="emobank",
        dimensions=VAD,
        splits={split: tuple(dialogues) for split, dialogues in found.items() if dialogues},
        licence="CC BY-SA 4.0 (EmoBank, Buechel & Hahn, EACL 2017); language: English",
        warnings=tuple(_repeated(found)),
    )
    if problems:
        raise CorpusError(*problems, *(problems_of(corpus) if corpus.splits else []))
    return corpus


def _row_problems(row: Row, first: dict[str, str]) -> Iterator[str]:
    """What is wrong with a row; ``first`` remembers where each id stood first."""
    name, split = row.values["id"].strip(), row.values["split"].strip()
    if not name:
        yield "has no id; give the sentence one"
    elif first.setdefault(name, row.origin) != row.origin:
        yield f"id {name!r} is also that of {first[name]}; give each sentence its own id"
    if split not in SPLITS:
        yield f"{unknown_name('split', split, SPLITS)}; correct it"
    for column in COLUMNS.values():
        if _value(row, column) is None:
            yield f"{column} {row.values[column].strip()!r} is no number from {SCALE[0]:g} to {SCALE[1]:g}; correct it"


def _value(row: Row, column: str) -> float | None:
    """The cell as a number on the scale, or None."""
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


def _repeated(found: Mapping[str, list[Dialogue]]) -> Iterator[str]:
    """Sentences of dev and test that a model has already seen in train."""
    known = {one.utterances[0].text for one in found["train"]} - {None}
    for split in SPLITS[1:]:
        again = [one.id for one in found[split] if one.utterances[0].text in known]
        if again:
            yield f"{split}: {len(again)} sentences also stand in train, word for word ({again[0]}, …)"
