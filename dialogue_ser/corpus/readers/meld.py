"""MELD (Poria et al., ACL 2019): the published CSVs, with or without clips. The bundled sample has the same form."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dialogue_ser.corpus.download.catalogue import PUBLISHED_CORPORA
from dialogue_ser.corpus.download.locate import find_data, sample_folder
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.parsing.files import FileFormat, read_rows
from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.corpus.parsing.times import parse_seconds
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.sentiment import sentiment_word
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The label sets, in the order in which publications on MELD give the classes.
LABEL_SETS: Mapping[str, LabelSet] = {
    "emotion": LabelSet("emotion", ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")),
    "sentiment": LabelSet("sentiment", ("neutral", "positive", "negative")),
}
#: More label sets. Other corpora have their classes too.
LABEL_MAPS: Mapping[str, LabelMap] = shared_maps("meld")
SPLITS = ("train", "dev", "test")
#: Clips of the published archive that are known to be bad. The errors and warnings say so, so that you need not search
#: for them. Sources: issues 9, 20, 22, 27 and 39 of github.com/declare-lab/MELD. The lengths were counted: they are the
#: times in the CSV files, and the durations in the prosody tables.
KNOWN_BAD_CLIPS: Mapping[str, str] = {
    "train/dia125_utt3": "broken in the published archive",
    "dev/dia110_utt7": "absent from the published archive",
    "train/dia241_utt2": "0.3 s for three words",
    "train/dia309_utt0": "41 s, cut too late",
    "train/dia485_utt0": "26 s for three words",
    "test/dia38_utt4": "305 s for seven words",
    "test/dia220_utt0": "235 s for three words, of another scene",
    **dict.fromkeys(
        (
            "train/dia164_utt5", "train/dia529_utt2", "train/dia682_utt1", "train/dia793_utt0", "train/dia1008_utt1",
            "train/dia1029_utt1",
        ),
        "reported to have a disturbed sound",
    ),
}  # fmt: skip
#: Formats of clips, the least compressed first.
CLIP_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".mp4")

_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
_LABEL_COLUMNS = {"emotion": "Emotion", "sentiment": "Sentiment"}
# Split → names that its folder of clips can have: the name of the split, and the name in MELD.Raw.tar.gz.
_CLIP_FOLDERS = {
    "train": ("train", "train_splits"),
    "dev": ("dev", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}


def read_meld(
    path: str | Path | None = None,
    labels: str = "emotion",
    audio: str | Path | None = None,
    splits: Sequence[str] = SPLITS,
    encoding: str = "utf-8",
    on_bad: str = "error",
) -> Corpus:
    """Read MELD's ``{train,dev,test}_sent_emo.csv``.

    Utterance ids are made of Dialogue_ID and Utterance_ID: ``train/dia12_utt3``. Both have gaps. ``start_seconds`` and
    ``end_seconds`` are times inside the episode, not inside the clip. A turn keeps its sentiment, whatever the labels.

    Args:
        path: folder of the CSVs; None = ``find_data("meld")``.
        labels: emotion (7 classes), sentiment (3), or shared-4, shared-5 or shared-7.
        audio: folder of the clips, inside ``path`` or elsewhere. Its files are ``train/dia12_utt3.wav`` (or flac, ogg,
            opus, mp3, mp4), in the folders of MELD.Raw, or ``train_dia12_utt3.wav`` without folders. Clips without a
            row are ignored. None = no audio.
        splits: the splits to read, e.g. ``["dev", "test"]``.
        encoding: encoding of the files; use cp1252 for older copies.
        on_bad: ``error`` lists missing clips. ``mask`` leaves these turns without audio, and a warning counts them.
            Clips that are known to be bad (:data:`KNOWN_BAD_CLIPS`) but are there are used, and a warning names them.

    Raises:
        MissingDataError: the folder or one of the CSVs does not exist.
        ConfigError: the label set or a split is unknown.
        CorpusError: rows are bad or clips are missing. The error lists all of them.
    """
    return _read("meld", find_data("meld") if path is None else Path(path), labels, audio, splits, encoding, on_bad)


def read_sample(
    path: str | Path | None = None,
    labels: str = "emotion",
    audio: str | Path | None = "audio",
    splits: Sequence[str] = SPLITS,
    on_bad: str = "error",
) -> Corpus:
    """Read the bundled corpus (data/sample): synthetic dialogues and speech. :func:`read_meld` explains the options."""
    return _read("sample", sample_folder() if path is None else Path(path), labels, audio, splits, "utf-8", on_bad)


def _read(
    name: str,
    folder: Path,
    labels: str,
    audio: str | Path | None,
    splits: Sequence[str],
    encoding: str,
    on_bad: str,
) -> Corpus:
    if labels not in {**LABEL_SETS, **LABEL_MAPS}:
        raise ConfigError(f"reader {name}: {unknown_name('label set', labels, [*LABEL_SETS, *LABEL_MAPS])}")
    base = "emotion" if labels in LABEL_MAPS else labels
    split_names = (splits,) if isinstance(splits, str) else tuple(splits)
    unknown = [f"reader {name}: {unknown_name('split', split, SPLITS)}" for split in split_names if split not in SPLITS]
    if unknown or not split_names:
        raise ConfigError(*(unknown or [f"reader {name}: splits is empty; name at least one of {', '.join(SPLITS)}"]))
    _check_files(name, folder, split_names)
    files, problems = _read_files(folder, split_names, encoding)
    read: dict[str, list[tuple[Utterance, str]]] = {}
    warnings: list[str] = []
    for split, rows in files.items():
        turns = list(_utterances(rows, split, _LABEL_COLUMNS[base], problems))
        if audio is not None:
            clips_folder = folder / audio if (folder / audio).is_dir() else Path(audio)
            known = KNOWN_BAD_CLIPS if name == "meld" else {}  # the sample has the same ids, but other clips
            faults = {turn: f"known bad clip of MELD: {fault}" for turn, fault in known.items()}
            turns = _with_clips(turns, split, clips_folder, faults, on_bad, problems, warnings)
        if turns:
            read[split] = turns
    corpus = Corpus(
        name=name,
        label_set=LABEL_SETS[base],
        splits={split: _dialogues(turns) for split, turns in read.items()},
        licence="GPL-3.0 (declare-lab/MELD)" if name == "meld" else "CC0-1.0 (synthetic, written for dialogue_ser)",
        warnings=tuple(warnings),
    )
    if problems:  # the error also names what is wrong with the rows that could be read
        raise CorpusError(*problems, *(corpus_problems(corpus) if read else []))
    return relabel(corpus, labels, LABEL_MAPS[labels]) if labels in LABEL_MAPS else corpus


def _check_files(name: str, folder: Path, splits: Sequence[str]) -> None:
    missing = [split for split in splits if not (folder / f"{split}_sent_emo.csv").is_file()]
    if not missing:
        return
    files = ", ".join(f"{split}_sent_emo.csv" for split in missing)
    present = [split for split in splits if split not in missing]
    command = f"get them with `dialogue-ser data download {name}`"
    mend = command if name in PUBLISHED_CORPORA else "give the folder that holds them"
    other = f" or read only the splits that are there (--data.options.splits '{present}')" if present else ""
    raise MissingDataError(f"{folder}: {files} missing; {mend}{other}")


def _read_files(folder: Path, splits: Sequence[str], encoding: str) -> tuple[dict[str, Rows], list[str]]:
    files: dict[str, Rows] = {}
    problems: list[str] = []
    for split in splits:
        try:
            rows = read_rows(folder / f"{split}_sent_emo.csv", FileFormat(encoding=encoding, quoting="standard"))
            rows.require(_COLUMNS)
            files[split] = rows
        except CorpusError as error:  # do not stop, because one error lists the problems of all files
            problems.extend(error.problems)
    return files, problems


def _utterances(rows: Rows, split: str, label_column: str, problems: list[str]) -> Iterator[tuple[Utterance, str]]:
    """Yield the utterance of each row and its dialogue id. Bad rows become problems."""
    for row in rows:
        numbers = [row.values[column].strip() for column in ("Dialogue_ID", "Utterance_ID")]
        bad = [number for number in numbers if not (number.isascii() and number.isdigit() and len(number) < 19)]
        if bad:
            problems.append(
                f"{row.origin}: Dialogue_ID and Utterance_ID must be whole numbers; correct {', '.join(map(repr, bad))}"
            )
            continue
        dialogue_id = f"{split}/dia{int(numbers[0])}"
        yield (
            Utterance(
                id=f"{dialogue_id}_utt{int(numbers[1])}",
                speaker=row.values["Speaker"],
                text=row.values["Utterance"] or None,
                label=row.values[label_column].strip().lower() or None,
                start_seconds=_time(row, "StartTime", problems),
                end_seconds=_time(row, "EndTime", problems),
                origin=row.origin,
                sentiment=sentiment_word(row.values["Sentiment"]),
            ),
            dialogue_id,
        )


def _time(row: Row, column: str, problems: list[str]) -> float | None:
    text = row.values[column].strip()
    if not text:
        return None
    try:
        return parse_seconds(text)
    except ValueError as error:
        problems.append(f"{row.origin}: {column}: {error}")
        return None


def _dialogues(turns: Sequence[tuple[Utterance, str]]) -> tuple[Dialogue, ...]:
    """Group turns by dialogue id, in the order of the file. Rows of one dialogue need not be neighbours."""
    by_id: dict[str, list[Utterance]] = {}
    for turn, dialogue_id in turns:
        by_id.setdefault(dialogue_id, []).append(turn)
    return tuple(Dialogue(name, tuple(members)) for name, members in by_id.items())


def _with_clips(
    turns: Sequence[tuple[Utterance, str]],
    split: str,
    folder: Path,
    faults: Mapping[str, str],
    on_bad: str,
    problems: list[str],
    warnings: list[str],
) -> list[tuple[Utterance, str]]:
    """Return the turns with their clips, and what is known to be wrong with these (``faults``: id → fault).

    :func:`read_meld` says what happens if clips are missing or known to be bad.
    """
    clips = _clips(folder, split)
    missing = [turn for turn, _ in turns if turn.id not in clips]
    if turns and len(missing) == len(turns):
        problems.append(
            f"{folder}: holds no clip of split {split!r}, e.g. {split}/dia0_utt0.wav (or flac, ogg, opus, mp3, mp4) or "
            f"{split}_dia0_utt0.wav; correct the option audio, or leave it out"
        )
    elif missing and on_bad != "mask":
        problems.extend(
            f"{turn.origin} ({turn.id}): has no clip in {folder}"
            + (f" ({faults[turn.id]})" if turn.id in faults else "")
            + "; add it, or mask missing audio (--data.on_bad mask)"
            for turn in missing
        )
    elif missing:
        shown = ", ".join(turn.id for turn in missing[:5]) + (", …" if len(missing) > 5 else "")
        warnings.append(f"{split}: {len(missing)} turns have no clip and are masked ({shown})")
    bad = [f"{turn.id}: {KNOWN_BAD_CLIPS[turn.id]}" for turn, _ in turns if turn.id in clips and turn.id in faults]
    if bad:
        warnings.append(
            f"{split}: {len(bad)} clips are known to be bad in the published archive and are used ({'; '.join(bad)}); "
            "replace them, or delete their files and mask what is missing (--data.on_bad mask)"
        )
    return [
        (replace(turn, audio=AudioRef(clips[turn.id], known_fault=faults.get(turn.id, ""))), dialogue_id)
        if turn.id in clips
        else (turn, dialogue_id)
        for turn, dialogue_id in turns
    ]


def _clips(folder: Path, split: str) -> dict[str, Path]:
    """Return utterance id → clip for one split. If a clip has several formats, take the least compressed one."""
    found: dict[str, Path] = {}
    folders = [(folder / name, "") for name in _CLIP_FOLDERS[split]] + [(folder, f"{split}_")]
    for clips_folder, prefix in folders:
        if not clips_folder.is_dir():
            continue
        for file in clips_folder.iterdir():
            if file.suffix.lower() not in CLIP_SUFFIXES or not file.stem.startswith(f"{prefix}dia"):
                continue
            name = f"{split}/{file.stem.removeprefix(prefix)}"
            if name not in found or _format_rank(file) < _format_rank(found[name]):
                found[name] = file
    return found


def _format_rank(file: Path) -> int:
    return CLIP_SUFFIXES.index(file.suffix.lower())
