"""DailyDialog (Li et al., IJCNLP 2017): written everyday dialogues of two people, text only."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The classes in the order of their numbers, 0 to 6. Publications state the micro F1 without the class none
#: (--data.leave_out '[none]').
CLASSES = ("none", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
LABEL_MAPS: Mapping[str, LabelMap] = {"emotion": LabelMap(classes=CLASSES), **shared_maps("dailydialog")}
#: Split → its folder.
FOLDERS: Mapping[str, str] = {"train": "train", "dev": "validation", "test": "test"}
END_OF_UTTERANCE = "__eou__"


def read_dailydialog(
    path: str | Path | None = None,
    labels: str = "emotion",
    splits: Sequence[str] = tuple(FOLDERS),
    encoding: str = "utf-8",
) -> Corpus:
    """Read the texts and emotions in ``train/``, ``validation/`` and ``test/``.

    One line of the files is one dialogue. Ids are ``train/dia12_utt3``; dialogues and utterances are counted from 0.
    The two speakers are ``A`` and ``B``, and they take turns.

    Args:
        path: folder of ``train/``, ``validation/`` and ``test/``. Each holds ``dialogues_train.txt`` and
            ``dialogues_emotion_train.txt`` as published (or ``dialogues_text.txt`` and ``dialogues_emotion.txt``);
            None = ``find_data("dailydialog")``.
        labels: emotion (7 classes), or shared-4, shared-5 or shared-7 (there the class none is neutral).
        splits: the splits to read, of train, dev and test.
        encoding: encoding of the texts.

    Raises:
        MissingDataError: the folder or one of the files does not exist.
        ConfigError: the label set or a split is unknown.
        CorpusError: lines of texts and emotions do not match. The error lists all of them.
    """
    unknown = [] if labels in LABEL_MAPS else [unknown_name("label set", labels, LABEL_MAPS)]
    unknown += [unknown_name("split", split, FOLDERS) for split in splits if split not in FOLDERS]
    if unknown:
        raise ConfigError(*(f"reader dailydialog: {problem}" for problem in unknown))
    folder = find_data("dailydialog") if path is None else Path(path)
    files = {split: _files(folder / FOLDERS[split], FOLDERS[split]) for split in splits}
    problems: list[str] = []
    read = {split: tuple(_dialogues(split, *both, encoding, problems)) for split, both in files.items()}
    if problems:
        raise CorpusError(*problems)
    corpus = Corpus(
        name="dailydialog",
        label_set=LabelSet("emotion", CLASSES),
        splits=read,
        licence="CC BY-NC-SA 4.0 (DailyDialog, Li et al., IJCNLP 2017)",
    )
    return corpus if labels == "emotion" else relabel(corpus, labels, LABEL_MAPS[labels])


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    # The published archive holds one archive for each split. Unpacked, it may be in one more folder: train/train/.
    for parent in (folder, folder / name):
        for texts, emotions in (("text", "emotion"), (name, f"emotion_{name}")):
            both = (parent / f"dialogues_{texts}.txt", parent / f"dialogues_{emotions}.txt")
            if all(file.is_file() for file in both):
                return both
    raise MissingDataError(
        f"{folder}: dialogues_{name}.txt and dialogues_emotion_{name}.txt are missing; give the folder that holds "
        "DailyDialog's train, validation and test (--data.path)"
    )


def _dialogues(split: str, texts: Path, emotions: Path, encoding: str, problems: list[str]) -> Iterator[Dialogue]:
    text_lines, emotion_lines = _read_lines(texts, encoding, problems), _read_lines(emotions, encoding, problems)
    if text_lines is None or emotion_lines is None:
        return
    if len(text_lines) != len(emotion_lines):
        problems.append(
            f"{split}: {texts.name} has {len(text_lines)} dialogues, but {emotions.name} has {len(emotion_lines)}; use "
            "files of one release"
        )
        return
    for number, (line, codes) in enumerate(zip(text_lines, map(str.split, emotion_lines), strict=True)):
        turns = [turn.strip() for turn in line.split(END_OF_UTTERANCE)]
        turns = turns[:-1] if not turns[-1] else turns  # the last utterance ends with the mark too
        where = f"{split}: {texts.name} row {number + 1}"
        bad = [code for code in codes if code not in map(str, range(len(CLASSES)))]
        if bad:
            problems.append(f"{where}: {emotions.name} holds {', '.join(bad)}; write numbers from 0 to 6")
        elif len(codes) != len(turns) or not turns:
            problems.append(
                f"{where}: has {len(turns)} turns, but {emotions.name} has {len(codes)} numbers; correct one of them"
            )
        else:
            yield Dialogue(
                f"{split}/dia{number}",
                tuple(
                    Utterance(
                        id=f"{split}/dia{number}_utt{position}",
                        speaker="AB"[position % 2],
                        text=turn or None,
                        label=CLASSES[int(code)],
                        origin=f"{texts.name} row {number + 1}",
                        # The class none has no emotion. In other corpora this word can mean that there is no label.
                        sentiment="neutral" if CLASSES[int(code)] == "none" else None,
                    )
                    for position, (turn, code) in enumerate(zip(turns, codes, strict=True))
                ),
            )


def _read_lines(path: Path, encoding: str, problems: list[str]) -> list[str] | None:
    """Read the lines of a file, without blank lines at its end. If it cannot be decoded: add a problem, return None."""
    try:
        return path.read_text(encoding=encoding).rstrip().split("\n")
    except UnicodeDecodeError as error:
        problems.append(
            f"{path}: byte {error.start} is not {encoding.upper()}; save the file as UTF-8, or read it with another "
            "encoding (--data.options.encoding)"
        )
    except LookupError:
        problems.append(f"{path}: there is no encoding {encoding!r}; use utf-8, cp1252, latin-1, …")
    return None
