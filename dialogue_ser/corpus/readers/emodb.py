"""EMO-DB (Burkhardt et al., Interspeech 2005): ten German actors say ten sentences in seven emotions."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import LabelMap, relabel, shared_maps
from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.stray_files import SetAside
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: In alphabetical order, because the corpus states no order.
CLASSES = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
#: Letter in the file name → class. The letter is the first letter of the German word.
LETTERS: Mapping[str, str] = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"
}  # fmt: skip
LABEL_MAPS: Mapping[str, LabelMap] = {"emotion": LabelMap(classes=CLASSES), **shared_maps("emodb")}
#: The corpus is published without splits. Protocols cut it (`dialogue-ser crossval`).
SPLIT = "all"
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
MEN = ("03", "10", "11", "12", "15")
#: Code of the sentence → text, as the documentation of the corpus states it.
SENTENCES: Mapping[str, str] = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])(?P<take>[a-z]?)")


def read_emodb(path: str | Path | None = None, labels: str = "emotion", on_bad: str = "error") -> Corpus:
    """Read EMO-DB's ``wav/``, or a subset of it. All annotations are in the file names.

    Every utterance is a dialogue of one turn in the split ``all``. Its id comes from its file: ``all/03a01Fa``.
    Speakers are ``03`` to ``16``. Attributes: ``gender`` (``female``, ``male``), ``sentence`` (``a01``, …).

    Args:
        path: folder that holds ``wav/``, or the folder of the wav files; None = ``find_data("emodb")``.
        labels: emotion (7 classes), or shared-4, shared-5 or shared-7.
        on_bad: ``error`` lists files whose names do not have the form of the corpus. ``mask`` sets these files aside,
            and warnings name them.

    Raises:
        MissingDataError: the folder does not exist or holds no wav file.
        ConfigError: the label set is unknown.
        CorpusError: file names do not have the form of the corpus. The error lists all of them.
    """
    if labels not in LABEL_MAPS:
        raise ConfigError(f"reader emodb: {unknown_name('label set', labels, LABEL_MAPS)}")
    folder = find_data("emodb") if path is None else Path(path)
    aside = SetAside(folder, on_bad)
    turns = list(_utterances(folder, aside))
    if aside.problems:
        raise CorpusError(*aside.problems)
    corpus = Corpus(
        name="emodb",
        label_set=LabelSet("emotion", CLASSES),
        splits={SPLIT: tuple(Dialogue(turn.id, (turn,)) for turn in turns)},
        licence="as its publishers state (EMO-DB, Burkhardt et al., Interspeech 2005); language: German",
        warnings=tuple(aside.warnings),
    )
    return corpus if labels == "emotion" else relabel(corpus, labels, LABEL_MAPS[labels])


def _utterances(folder: Path, aside: SetAside) -> Iterator[Utterance]:
    clips = folder / "wav" if (folder / "wav").is_dir() else folder
    # macOS adds files that begin with ._ to the files that it copies.
    files = sorted(file for file in clips.glob("*.wav") if not file.name.startswith("."))
    if not files:
        raise MissingDataError(f"{folder}: holds no wav/*.wav; give the folder that holds EMO-DB's wav/ (--data.path)")
    for file in files:
        parts = _NAME.fullmatch(file.stem)
        if parts is None or parts["emotion"] not in LETTERS or parts["speaker"] not in SPEAKERS:
            aside.add(
                file,
                f"the name does not have the form 03a01Fa.wav (speaker: {', '.join(SPEAKERS)}; sentence; emotion: one "
                f"of {', '.join(LETTERS)}; version)",
                "rename it, or move it out of the folder",
            )
            continue
        yield Utterance(
            id=f"{SPLIT}/{file.stem}",
            speaker=parts["speaker"],
            text=SENTENCES.get(parts["sentence"]),
            audio=AudioRef(file),
            label=LETTERS[parts["emotion"]],
            origin=file.name,
            attributes={
                "gender": "male" if parts["speaker"] in MEN else "female",
                "sentence": parts["sentence"],
            },
        )
