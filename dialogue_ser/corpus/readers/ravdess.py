"""RAVDESS (Livingstone and Russo, PLOS ONE 2018): 24 actors say or sing two sentences in eight emotions."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.stray_files import SetAside, one_of_each_name
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The classes in the order of their numbers, 01 to 08.
CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
LABEL_MAPS: Mapping[str, LabelMap] = {"emotion": LabelMap(classes=CLASSES), **shared_maps("ravdess")}
#: The corpus is published without splits. Protocols cut it (`dialogue-ser crossval`).
SPLIT = "all"
STATEMENTS: Mapping[str, str] = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

_CHANNELS: Mapping[str, str] = {"01": "speech", "02": "song"}
_INTENSITIES: Mapping[str, str] = {"01": "normal", "02": "strong"}
# Where the files can be: as published; in the folders of the unpacked archives; or all in one folder.
_FILE_PATTERNS = ("Actor_*/*.wav", "*/Actor_*/*.wav", "*.wav")
_NAME = re.compile(
    r"03-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-(?P<take>0[12])-"
    r"(?P<actor>0[1-9]|1\d|2[0-4])"
)
_ACTOR_FOLDER = re.compile(r"Actor_0*(\d+)")


def read_ravdess(
    path: str | Path | None = None,
    labels: str = "emotion",
    channel: Literal["speech", "song", "both"] = "speech",
    on_bad: str = "error",
) -> Corpus:
    """Read RAVDESS's audio-only files, or a subset of them. All annotations are in the file names.

    Every utterance is a dialogue of one turn in the split ``all``. Its id comes from its file:
    ``all/03-01-06-01-02-01-12``. Speakers are ``Actor_01`` to ``Actor_24``. Attributes: ``gender`` (``female``,
    ``male``), ``channel`` (``speech``, ``song``), ``intensity`` (``normal``, ``strong``), ``statement`` (``01``,
    ``02``).

    Args:
        path: folder of the ``Actor_…`` folders, of the unpacked archives, or of the wav files; None =
            ``find_data("ravdess")``.
        labels: emotion (8 classes), or shared-4, shared-5 or shared-7 (there calm is neutral).
        channel: speech, song or both.
        on_bad: ``error`` lists files that lie in the folder of another actor, have the name of another file or a name
            of another form. ``mask`` sets these files aside, and warnings name them.

    Raises:
        MissingDataError: the folder does not exist or holds no wav file of the channel.
        ConfigError: the label set is unknown.
        CorpusError: files have a wrong name or lie in a wrong folder. The error lists all of them.
    """
    if labels not in LABEL_MAPS:
        raise ConfigError(f"reader ravdess: {unknown_name('label set', labels, LABEL_MAPS)}")
    folder = find_data("ravdess") if path is None else Path(path)
    aside = SetAside(folder, on_bad)
    found = [_utterance(file) for file in one_of_each_name(_named_files(folder, aside), aside)]
    if aside.problems:
        raise CorpusError(*aside.problems)
    turns = [turn for turn in found if channel in ("both", turn.attributes["channel"])]
    if not turns:
        raise MissingDataError(
            f"{folder}: holds no files of the channel {channel}; unpack its archive there, or read another channel"
        )
    corpus = Corpus(
        name="ravdess",
        label_set=LabelSet("emotion", CLASSES),
        splits={SPLIT: tuple(Dialogue(turn.id, (turn,)) for turn in turns)},
        licence="CC BY-NC-SA 4.0 (RAVDESS, Livingstone and Russo, 2018); language: English",
        warnings=tuple(aside.warnings),
    )
    return corpus if labels == "emotion" else relabel(corpus, labels, LABEL_MAPS[labels])


def _named_files(folder: Path, aside: SetAside) -> Iterator[tuple[Path, str]]:
    """Yield the files whose names have the form of the corpus, and what is wrong with their folders ("" = nothing)."""
    # Some copies hold every file twice, in Actor_01/ and in another folder's Actor_01/. Only one of them is read.
    files = next((found for pattern in _FILE_PATTERNS if (found := _files(folder, pattern))), [])
    if not files:
        raise MissingDataError(f"{folder}: holds no Actor_01/*.wav; give the folder of RAVDESS's actors (--data.path)")
    for file in files:
        parts = _NAME.fullmatch(file.stem)
        if parts is None:
            aside.add(
                file,
                "the name does not have the form 03-01-06-01-02-01-12.wav (03 = audio only, channel, emotion, "
                "intensity, statement, repetition, actor from 01 to 24)",
                "rename it, or move it out of the folder",
            )
            continue
        owner = _ACTOR_FOLDER.fullmatch(file.parent.name)
        is_stray = owner is not None and int(owner[1]) != int(parts["actor"])
        yield file, f"lies in the folder of another actor: its name says actor {parts['actor']}" if is_stray else ""


def _utterance(file: Path) -> Utterance:
    parts = _NAME.fullmatch(file.stem)
    assert parts is not None
    return Utterance(
        id=f"{SPLIT}/{file.stem}",
        speaker=f"Actor_{parts['actor']}",
        text=STATEMENTS[parts["statement"]],
        audio=AudioRef(file),
        label=CLASSES[int(parts["emotion"]) - 1],
        origin=file.name,
        attributes={
            "gender": "male" if int(parts["actor"]) % 2 else "female",
            "channel": _CHANNELS[parts["channel"]],
            "intensity": _INTENSITIES[parts["intensity"]],
            "statement": parts["statement"],
        },
    )


def _files(folder: Path, pattern: str) -> list[Path]:
    # macOS adds files that begin with ._ to the files that it copies.
    return sorted(
        (file for file in folder.glob(pattern) if not file.name.startswith(".")), key=lambda file: (file.name, file)
    )
