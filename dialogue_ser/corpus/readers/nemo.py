"""nEMO (Christop, LREC-COLING 2024): acted Polish utterances of nine speakers in six emotions, one clip per row."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.parsing.files import PUBLISHED_FORMAT, read_rows
from dialogue_ser.corpus.parsing.paths import resolve_inside
from dialogue_ser.corpus.parsing.rows import Row
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.stray_files import SetAside
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The classes as data.tsv writes them, in alphabetical order, because the corpus states no order.
LABEL_SETS: Mapping[str, LabelSet] = {
    "emotion": LabelSet("emotion", ("anger", "fear", "happiness", "neutral", "sadness", "surprised"))
}
#: More label sets. Other corpora have their classes too.
LABEL_MAPS: Mapping[str, LabelMap] = shared_maps("nemo")
#: The corpus is published without splits. Protocols cut it (`dialogue-ser crossval`).
SPLIT = "all"
LANGUAGE = "pl"
TABLE, CLIPS = "data.tsv", "samples"

# What the name of a clip states: EB0_anger_31.flac. Names of another form are allowed, and state nothing.
_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_\d+")
_COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender", "age")


@dataclass(frozen=True, slots=True, kw_only=True)
class NemoSpeaker:
    """What the corpus states about a speaker.

    Args:
        gender: female or male.
        age: age in years.
    """

    gender: str
    age: int


def read_nemo(path: str | Path | None = None, labels: str = "emotion", on_bad: str = "error") -> Corpus:
    """Read nEMO's ``data.tsv`` and ``samples/``, or a subset in the same layout.

    Every utterance is a dialogue of one turn in the split ``all``. Its id comes from its file: ``all/EB0_anger_31``.
    The text is the Polish transcript (``raw_text``). Utterances do not hold the gender and the age of the speaker;
    :func:`read_speakers` returns them.

    Args:
        path: folder of data.tsv and samples/; None = ``find_data("nemo")``.
        labels: emotion (6 classes), or shared-4, shared-5 or shared-7.
        on_bad: ``error`` lists missing clips, and rows whose clip belongs to another speaker by its name. ``mask``
            leaves turns without their missing clip, and a warning counts them; such rows are set aside, and warnings
            name them.

    Raises:
        MissingDataError: the folder or data.tsv does not exist.
        ConfigError: the label set is unknown.
        CorpusError: rows are bad or clips are missing. The error lists all of them.
    """
    if labels not in {**LABEL_SETS, **LABEL_MAPS}:
        raise ConfigError(f"reader nemo: {unknown_name('label set', labels, [*LABEL_SETS, *LABEL_MAPS])}")
    folder = _folder(path)
    problems: list[str] = []
    missing: list[str] = []
    aside = SetAside(folder, on_bad)
    turns = list(_utterances(folder, problems, missing, aside))
    problems += aside.problems
    warnings = [*aside.warnings, *_other_emotions(turns)]
    if missing and on_bad == "mask":
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        warnings.append(f"{len(missing)} turns have no clip and are masked ({shown})")
    elif missing:
        problems += [
            f"{name}: no such file in {folder / CLIPS}; add it, or mask missing audio (--data.on_bad mask)"
            for name in missing
        ]
    corpus = Corpus(
        name="nemo",
        label_set=LABEL_SETS["emotion"],
        splits={SPLIT: tuple(Dialogue(turn.id, (turn,)) for turn in turns)},
        licence="CC BY-NC-SA 4.0 (nEMO, Christop, LREC-COLING 2024); language: Polish",
        warnings=tuple(warnings),
    )
    if problems:
        raise CorpusError(*problems, *(corpus_problems(corpus) if turns else []))
    return relabel(corpus, labels, LABEL_MAPS[labels]) if labels in LABEL_MAPS else corpus


def read_speakers(path: str | Path | None = None) -> dict[str, NemoSpeaker]:
    """Return the gender and the age of each speaker, by speaker id in sorted order.

    Args:
        path: folder of data.tsv; None = ``find_data("nemo")``.

    Raises:
        MissingDataError: the folder or data.tsv does not exist.
        CorpusError: an age is not a whole number, or two rows describe a speaker differently. The error lists all.
    """
    rows = read_rows(_folder(path) / TABLE, PUBLISHED_FORMAT)
    rows.require(_COLUMNS)
    speakers: dict[str, tuple[NemoSpeaker, str]] = {}
    problems = []
    for row in rows:
        name, gender, age = (row.values[column].strip() for column in ("speaker_id", "gender", "age"))
        if not (age.isascii() and age.isdigit() and len(age) < 4):
            problems.append(f"{row.origin}: age {age!r} is not a whole number of years; correct it")
            continue
        speaker = NemoSpeaker(gender=gender, age=int(age))
        first, first_origin = speakers.setdefault(name, (speaker, row.origin))
        if first != speaker:
            problems.append(
                f"{row.origin}: speaker {name} is {gender}, {age}, but in {first_origin} it is {first.gender}, "
                f"{first.age}; correct one of them"
            )
    if problems:
        raise CorpusError(*problems)
    return {name: speakers[name][0] for name in sorted(speakers)}


def _folder(path: str | Path | None) -> Path:
    folder = find_data("nemo") if path is None else Path(path)
    if not (folder / TABLE).is_file():
        raise MissingDataError(
            f"{folder}: {TABLE} is missing; give the folder that holds it and {CLIPS}/ (--data.path)"
        )
    return folder


def _utterances(folder: Path, problems: list[str], missing: list[str], aside: SetAside) -> Iterator[Utterance]:
    """Yield the utterance of each row. Bad rows go to ``problems``, rows without a clip to ``missing``, and rows that
    name the clip of another speaker go to ``aside``.
    """
    rows = read_rows(folder / TABLE, PUBLISHED_FORMAT)
    rows.require(_COLUMNS)
    for row in rows:
        name = row.values["file_id"].strip()
        stem = Path(name).stem
        if not stem or Path(name).name != name:
            problems.append(f"{row.origin}: file_id {name!r} is not a file name; write the name of a clip in {CLIPS}/")
            continue
        stated = _NAME.fullmatch(stem)
        if stated is not None and row.values["speaker_id"].strip() not in ("", stated["speaker"]):
            aside.add(
                row.origin,
                f"the clip {stem} belongs to another speaker than speaker_id {row.values['speaker_id'].strip()!r}",
                "correct the row, or name the right clip",
            )
            continue
        try:
            clip: Path | None = resolve_inside(folder / CLIPS, name)
        except ValueError as error:
            problems.append(f"{row.origin}: {error}")
            continue
        if clip is not None and not clip.is_file():
            missing.append(f"{row.origin} ({name})")
            clip = None
        yield _utterance(row, f"{SPLIT}/{stem}", clip)


def _other_emotions(turns: Iterable[Utterance]) -> Iterator[str]:
    """Yield a warning about the rows whose emotion is not the one in the name of the clip. The row counts."""
    names = [(turn, _NAME.fullmatch(turn.id.removeprefix(f"{SPLIT}/"))) for turn in turns]
    other = [turn for turn, stated in names if stated is not None and turn.label not in (None, stated["emotion"])]
    if other:
        first = f"{other[0].origin}: {other[0].id} is {other[0].label}"
        yield f"{len(other)} rows have another emotion than the name of their clip; the row counts ({first})"


def _utterance(row: Row, name: str, clip: Path | None) -> Utterance:
    return Utterance(
        id=name,
        speaker=row.values["speaker_id"].strip(),
        text=row.values["raw_text"] or None,
        audio=None if clip is None else AudioRef(clip),
        label=row.values["emotion"].strip() or None,
        origin=row.origin,
    )
