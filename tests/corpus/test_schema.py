"""The frozen data model."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import CorpusError

LABELS = LabelSet("emotion", ("neutral", "joy"))


def turn(number: int = 0, **fields) -> Utterance:
    return Utterance(**({"id": f"train/d_utt{number}", "speaker": "Ross", "text": "Hi.", "label": "joy"} | fields))


def corpus(*turns: Utterance) -> Corpus:
    return Corpus(name="own", label_set=LABELS, splits={"train": (Dialogue("train/d", turns),), "dev": ()})


def test_a_dialogue_has_at_least_one_utterance():
    with pytest.raises(CorpusError, match="dialogue train/d: has no utterance"):
        Dialogue("train/d", ())


def test_utterances_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        turn().text = "other"


def test_unknown_label_is_refused_with_the_nearest():
    with pytest.raises(CorpusError, match="unknown emotion label 'joyy'; did you mean 'joy'"):
        LABELS.index("joyy")


@pytest.mark.parametrize("labels", [(), ("joy", "joy")])
def test_label_sets_name_each_class_once(labels):
    with pytest.raises(CorpusError, match="label set emotion"):
        LabelSet("emotion", labels)


def test_unknown_and_empty_splits_are_refused():
    with pytest.raises(CorpusError, match="unknown split 'tran'; did you mean 'train'"):
        corpus(turn()).split("tran")
    with pytest.raises(CorpusError, match="split 'dev' is empty"):
        corpus(turn()).split("dev")


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Ho."},
        {"speaker": "Joey"},
        {"label": None},
        {"audio": AudioRef(Path("a.wav"))},
        {"votes": {"joy": 1.0}},
        {"attributes": {"session": "2"}},
    ],
)
def test_fingerprint_changes_with_anything_a_model_could_see(change):
    assert corpus(turn()).fingerprint() == corpus(turn()).fingerprint()
    assert corpus(turn(**change)).fingerprint() != corpus(turn()).fingerprint()


def test_fingerprint_ignores_where_the_audio_folder_lies():
    one, other = (corpus(turn(audio=AudioRef(Path(folder) / "a.wav", 0.0, 1.0))) for folder in ("/x", "/y"))
    assert one.fingerprint() == other.fingerprint()
    moved = corpus(replace(turn(), audio=AudioRef(Path("/x/a.wav"), 0.5, 1.0)))
    assert moved.fingerprint() != one.fingerprint()
