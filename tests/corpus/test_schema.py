"""The frozen data model."""

import time
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


def test_the_error_about_an_unknown_label_names_the_most_similar_one():
    with pytest.raises(CorpusError, match="unknown emotion label 'joyy'; did you mean 'joy'"):
        LABELS.index("joyy")


@pytest.mark.parametrize("labels", [(), ("joy", "joy")])
def test_label_sets_name_each_class_once(labels):
    with pytest.raises(CorpusError, match="label set emotion"):
        LabelSet("emotion", labels)


def test_a_label_set_of_a_file_with_very_many_names_is_checked_at_once():
    begin = time.perf_counter()
    LabelSet("emotion", tuple(map(str, range(200_000))))
    assert time.perf_counter() - begin < 2


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


def test_the_fingerprint_is_the_one_that_runs_of_earlier_versions_recorded():
    one = turn(votes={"joy": 2.0}, audio=AudioRef(Path("/x/a.wav"), 0.0, 1.5), attributes={"session": "1"})
    recorded = corpus(one, turn(1, speaker="Joey", text=None, label=None))
    before_targets = "114793b05e31dcbf8883cdf6837349ae6416835968fd5f2e8b7aa0d7e43e559d"
    assert recorded.fingerprint() == recorded.fingerprint(with_targets=True) == before_targets


def test_targets_and_dimensions_change_only_the_fingerprint_with_targets():
    plain = corpus(turn())
    annotated = [replace(plain, dimensions=("valence", "arousal"))]
    for targets in ({"valence": 3.0}, {"valence": 3.5}, {"arousal": 3.0}):
        dialogue = Dialogue("train/d", (turn(targets=targets),))
        annotated.append(replace(annotated[0], splits={"train": (dialogue,), "dev": ()}))
    assert {one.fingerprint() for one in (plain, *annotated)} == {plain.fingerprint()}
    assert len({one.fingerprint(with_targets=True) for one in (plain, *annotated)}) == 5
    reordered = replace(annotated[0], dimensions=("arousal", "valence"))
    assert reordered.fingerprint(with_targets=True) != annotated[0].fingerprint(with_targets=True)


def test_a_corpus_without_classes_has_a_fingerprint_of_its_own():
    bare = replace(corpus(turn()), label_set=None, dimensions=("valence",))
    assert bare.fingerprint() != corpus(turn()).fingerprint()
    assert bare.fingerprint() != bare.fingerprint(with_targets=True)


def test_a_corpus_has_classes_or_dimensions():
    with pytest.raises(CorpusError, match="corpus own: has neither classes nor dimensions"):
        Corpus(name="own", splits={})
    assert Corpus(name="own", dimensions=("valence",), splits={}).label_set is None


@pytest.mark.parametrize(
    ("dimensions", "message"), [(("valence", "valence"), "valence is named twice"), (("valence", " "), "has no name")]
)
def test_dimensions_have_names_of_their_own(dimensions, message):
    with pytest.raises(CorpusError, match=message):
        Corpus(name="own", dimensions=dimensions, splits={})


def test_the_fingerprint_does_not_depend_on_the_folder_of_the_audio():
    one, other = (corpus(turn(audio=AudioRef(Path(folder) / "a.wav", 0.0, 1.0))) for folder in ("/x", "/y"))
    assert one.fingerprint() == other.fingerprint()
    moved = corpus(replace(turn(), audio=AudioRef(Path("/x/a.wav"), 0.5, 1.0)))
    assert moved.fingerprint() != one.fingerprint()
