"""EmoryNLP (Zahiri and Choi, 2018): scenes of the series Friends, text only, in the CSVs published with MELD."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.parsing.columns import resolve_columns
from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.corpus.parsing.turns import TurnOptions, group_into_dialogues, read_turns
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The classes in the order in which publications on the corpus give them.
CLASSES = ("joyful", "mad", "peaceful", "neutral", "sad", "powerful", "scared")
LABEL_MAPS: Mapping[str, LabelMap] = {"emotion": LabelMap(classes=CLASSES), **shared_maps("emorynlp")}
SPLITS = ("train", "dev", "test")

_COLUMNS = {
    "text": "Utterance",
    "speaker": "Speaker",
    "dialogue": ["Season", "Episode", "Scene_ID"],
    "label": "Emotion",
    "utterance": "Utterance_ID",
}
# The files write the classes with a capital letter: Joyful.
_OPTIONS = TurnOptions(label_map={label.capitalize(): label for label in CLASSES})


def read_emorynlp(
    path: str | Path | None = None,
    labels: str = "emotion",
    splits: Sequence[str] = SPLITS,
    encoding: str = "utf-8",
) -> Corpus:
    """Read ``emorynlp_{train,dev,test}_final.csv``.

    A scene is a dialogue. Ids are made of Season, Episode, Scene_ID and Utterance_ID: ``train/4-7-1_utt3``. Sentences
    and speakers that the files write as lists are joined.

    Args:
        path: folder of the CSVs; None = ``find_data("emorynlp")``.
        labels: emotion (7 classes), or shared-4, shared-5 or shared-7.
        splits: the splits to read.
        encoding: encoding of the files.

    Raises:
        MissingDataError: the folder or one of the CSVs does not exist.
        ConfigError: the label set or a split is unknown.
        CorpusError: the files have bad rows. The error lists all of them.
    """
    unknown = [] if labels in LABEL_MAPS else [unknown_name("label set", labels, LABEL_MAPS)]
    unknown += [unknown_name("split", split, SPLITS) for split in splits if split not in SPLITS]
    if unknown:
        raise ConfigError(*(f"reader emorynlp: {problem}" for problem in unknown))
    files = _find_files(find_data("emorynlp") if path is None else Path(path), splits)
    problems: list[str] = []
    warnings: list[str] = []
    read = _read_files(files, encoding, problems, warnings)
    corpus = Corpus(
        name="emorynlp",
        label_set=LabelSet("emotion", CLASSES),
        splits=read,
        licence="as github.com/emorynlp/emotion-detection states (Zahiri and Choi, 2018)",
        warnings=tuple(warnings),
    )
    if problems:  # the error also names what is wrong with the rows that could be read
        raise CorpusError(*problems, *(corpus_problems(corpus) if read else []))
    return corpus if labels == "emotion" else relabel(corpus, labels, LABEL_MAPS[labels])


def _find_files(folder: Path, splits: Sequence[str]) -> dict[str, Path]:
    files = {split: folder / f"emorynlp_{split}_final.csv" for split in splits}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise MissingDataError(
            f"{folder}: {', '.join(missing)} missing; get them from data/emorynlp of github.com/declare-lab/MELD"
        )
    return files


def _read_files(
    files: Mapping[str, Path], encoding: str, problems: list[str], warnings: list[str]
) -> dict[str, tuple[Dialogue, ...]]:
    """Return split → its dialogues, for the files that can be read."""
    read: dict[str, tuple[Dialogue, ...]] = {}
    for split, file in files.items():
        try:
            rows = read_rows(file, FileFormat(encoding=encoding, quoting="standard"))
            rows.require([*_COLUMNS["dialogue"], *(name for name in _COLUMNS.values() if isinstance(name, str))])
            turns = read_turns(rows, resolve_columns(rows, _COLUMNS), _OPTIONS, problems, warnings)
            read[split] = group_into_dialogues(turns, split)
        except CorpusError as error:  # do not stop, because one error lists the problems of all files
            problems.extend(error.problems)
    return read
