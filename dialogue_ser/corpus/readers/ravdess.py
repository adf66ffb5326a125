"""RAVDESS (Livingstone and Russo, PLOS ONE 2018): 24 actors say or sing two sentences in eight emotions."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
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
    r"03-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-(?P<take>0[12])-(?P<actor>\d\d)"
)


def read_ravdess(
    path: str | Path | None = None, labels: str = "emotion", channel: Literal["speech", "song", "both"] = "speech"
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

    Raises:
        MissingDataError: the folder does not exist or holds no wav file of the channel.
        ConfigError: the label set is unknown.
        CorpusError: file names do not have the form of the corpus. The error lists all of them.
    """
    if labels not in LABEL_MAPS:
        raise ConfigError(f"reader ravdess: {unknown_name('label set', labels, LABEL_MAPS)}")
    problems: list[str] = []
    folder = find_data("ravdess") if path is None else Path(path)
    found = list(_utterances(folder, problems))
    if problems:
        raise CorpusError(*problems)
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
    )
    return corpus if labels == "emotion" else relabel(corpus, labels, LABEL_MAPS[labels])


def _utterances(folder: Path, problems: list[str]) -> Iterator[Utterance]:
    # Some copies hold every file twice, in Actor_01/ and in another folder's Actor_01/. Only one of them is read.
    files = next((found for pattern in _FILE_PATTERNS if (found := _files(folder, pattern))), [])
    if not files:
        raise MissingDataError(f"{folder}: holds no Actor_01/*.wav; give the folder of RAVDESS's actors (--data.path)")
    for file in files:
        parts = _NAME.fullmatch(file.stem)
        if parts is None:
            problems.append(
                f"{file}: the name does not have the form 03-01-06-01-02-01-12.wav (03 = audio only, channel, emotion, "
                "intensity, statement, repetition, actor); rename it, or move it out of the folder"
            )
            continue
        yield Utterance(
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
    return sorted((file for file in folder.glob(pattern) if not file.name.startswith(".")), key=lambda file: file.name)
