from collections import Counter
from dataclasses import replace

import pytest

from dialogue_ser.corpus.readers import READERS, read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.registry import Registered

ACTED = ("happy", "angry", "sad", "bored")
TALK = ("joy", "anger", "sadness", "neutral", "disgust")
SHARED = {"happy": "joy", "joy": "joy", "angry": "anger", "anger": "anger", "sad": "sadness", "sadness": "sadness"}


def turn(name, speaker, label, votes=None, **attributes):
    return Utterance(id=f"all/{name}", speaker=speaker, label=label, text=name, votes=votes, attributes=attributes)


def read_acted(path=None, labels="emotion", sessions=False, n_speakers=5):
    """Single turns of some speakers, each with every emotion twice."""
    turns = (
        turn(f"{who}{label}{i}", who, label, **({"session": who} if sessions else {}))
        for who in "ABCDE"[:n_speakers]
        for label in ACTED
        for i in range(2)
    )
    dialogues = tuple(Dialogue(one.id, (one,)) for one in turns)
    return Corpus(name="acted", label_set=LabelSet(labels, ACTED), splits={"all": dialogues}, warnings=("odd",))


def read_talk(path=None, labels="emotion"):
    """Three dialogues: in one a label is not in the map, in one no label is in the map, and one has votes."""
    one = Dialogue("all/d1", (turn("d1_0", "X", "joy"), turn("d1_1", "Y", "disgust", {"disgust": 2, "joy": 1})))
    two = Dialogue("all/d2", (turn("d2_0", "X", "neutral"), turn("d2_1", "Y", "neutral")))
    votes = {"anger": 2.0, "sadness": 1.0, "neutral": 3.0}
    three = Dialogue(
        "all/d3", (turn("d3_0", "X", "anger", votes), turn("d3_1", "Y", "sadness"), turn("d3_2", "X", None))
    )
    return Corpus(name="talk", label_set=LabelSet(labels, TALK), splits={"all": (one, two, three)})


def read_split(path=None, labels="emotion"):
    """A corpus with splits of its own."""
    splits = {
        split: (Dialogue(f"{split}/{label}", (Utterance(id=f"{split}/{label}", speaker="Z", label=label, text="t"),)),)
        for split, label in (("train", "joy"), ("dev", "anger"), ("test", "sadness"))
    }
    return Corpus(name="split", label_set=LabelSet(labels, TALK), splits=splits)


def read_rated(path=None, labels="emotion", name="rated", dimensions=("valence", "arousal"), classes=TALK):
    """Sentences with targets, of six speakers."""
    turns = (
        replace(turn(f"{who}0", who, "joy" if classes else None), targets=dict.fromkeys(dimensions, 1.0 + number))
        for number, who in enumerate("ABCDEF")
    )
    return Corpus(
        name=name,
        label_set=LabelSet(labels, classes) if classes else None,
        dimensions=tuple(dimensions),
        splits={"all": tuple(Dialogue(one.id, (one,)) for one in turns)},
    )


def spec(function, **options):
    return {"reader": f"{__name__}:{function.__name__}", "options": options}


@pytest.fixture(autouse=True)
def _readers(monkeypatch):
    """Register the readers, because pytest's importlib mode gives this module a name that cannot be imported."""
    for one in (read_acted, read_rated, read_split, read_talk):
        monkeypatch.setitem(READERS.registered, f"{__name__}:{one.__name__}", Registered(one, {}))


def read(**options):
    given = {"train": spec(read_acted), "test": spec(read_talk), "label_map": SHARED}
    return read_corpus("cross-corpus", **{**given, **options})


def test_test_is_the_whole_second_corpus_and_dev_some_speakers_of_the_first():
    corpus = read()
    assert corpus.label_set.labels == ("joy", "anger", "sadness")
    assert [turn.id for turn in utterances(corpus.split("test"))][:2] == ["test/all/d1_0", "test/all/d1_1"]
    speakers = {part: {turn.speaker for turn in utterances(corpus.split(part))} for part in ("train", "dev")}
    assert (len(speakers["train"]), len(speakers["dev"])) == (4, 1)
    assert speakers["train"] | speakers["dev"] == set("ABCDE")
    counts = Counter(turn.label for part in ("train", "dev") for turn in utterances(corpus.split(part)))
    assert counts == {"joy": 10, "anger": 10, "sadness": 10}
    assert (corpus.name, "odd" in corpus.warnings) == ("acted-to-talk", True)


def test_labels_outside_the_map_are_left_out_and_counted_and_stay_as_context():
    corpus = read()
    test = {turn.id.removeprefix("test/all/"): turn for turn in utterances(corpus.split("test"))}
    assert {name: turn.label for name, turn in test.items()} == {
        "d1_0": "joy", "d1_1": None, "d3_0": "anger", "d3_1": "sadness", "d3_2": None
    }  # fmt: skip
    assert test["d1_1"].votes is None  # its label is disgust, so its one vote for joy must not be learnt
    assert test["d3_0"].votes == {"anger": 2.0, "sadness": 1.0}
    assert "test (talk): turns with labels that are not in the map: neutral 2, disgust 1" in corpus.warnings
    assert "dev (acted): turns with labels that are not in the map: bored 2" in corpus.warnings
    assert any(one.startswith("test: 3 turns have no class") and "1 dialogues" in one for one in corpus.warnings)


def test_several_labels_may_become_one_class_and_the_order_can_be_given():
    both = {**SHARED, "bored": "sadness"}
    corpus = read(label_map=both, label_order=["sadness", "joy", "anger"])
    assert corpus.label_set.labels == ("sadness", "joy", "anger")
    train = Counter(turn.label for turn in utterances(corpus.split("train")))
    assert train == {"sadness": 16, "joy": 8, "anger": 8}
    with pytest.raises(ConfigError, match="name each of joy, anger, sadness once"):
        read(label_order=["joy", "anger"])


def test_a_map_may_name_labels_that_neither_corpus_has_and_a_warning_names_them():
    corpus = read(label_map={**SHARED, "hapy": "joy"})
    assert "label_map: neither corpus has the label(s) hapy" in corpus.warnings
    assert corpus.label_set.labels == ("joy", "anger", "sadness")


def test_without_a_map_the_labels_that_turns_of_both_corpora_have_are_shared():
    corpus = read(train=spec(read_split), label_map=None)
    assert corpus.label_set.labels == (
        "joy",
        "anger",
    )  # the first corpus has sadness only in its test split, which is not used
    with pytest.raises(CorpusError, match="have no label in common that turns of both have"):
        read(label_map=None)


def test_dimensions_that_both_have_are_shared_with_their_targets():
    second = spec(read_rated, name="other", dimensions=["dominance", "arousal"])
    corpus = read(train=spec(read_rated), test=second, label_map=None)
    assert (corpus.dimensions, corpus.label_set.labels) == (("arousal",), ("joy",))
    test = list(utterances(corpus.split("test")))
    assert [(turn.label, turn.targets["arousal"], len(turn.targets)) for turn in test] == [
        ("joy", value, 1) for value in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    ]
    assert corpus.warnings[:2] == (
        "dimensions that only rated has are left out: valence",
        "dimensions that only other has are left out: dominance",
    )
    plain = read(train=spec(read_rated), label_map=None)
    assert (plain.dimensions, {len(turn.targets) for turn in utterances(plain.split("train"))}) == ((), {0})


def test_if_one_corpus_has_no_classes_only_dimensions_are_shared():
    bare = spec(read_rated, name="bare", classes=[])
    corpus = read(train=bare, test=spec(read_rated), label_map=None)
    assert (corpus.label_set, corpus.dimensions) == (None, ("valence", "arousal"))
    turns = [turn for split in corpus.splits.values() for turn in utterances(split)]
    assert len(turns) == 12
    assert {(turn.label, len(turn.targets)) for turn in turns} == {(None, 2)}
    with pytest.raises(ConfigError, match=r"no classes can be shared \(bare has none\); leave out label_map"):
        read(train=bare)
    with pytest.raises(CorpusError, match="bare and talk have no dimension in common, and bare has no classes"):
        read(train=bare, label_map=None)


def test_train_and_dev_of_the_first_corpus_are_used_and_its_test_is_not():
    known = {"joy": "joy", "anger": "anger"}
    corpus = read(train=spec(read_split), label_map=known)
    assert [turn.id for split in corpus.splits.values() for turn in utterances(split)][:2] == [
        "train/train/joy", "dev/dev/anger"
    ]  # fmt: skip
    assert [turn.id for turn in utterances(read(train=spec(read_acted), test=spec(read_split)).split("test"))] == [
        "test/train/joy", "test/dev/anger", "test/test/sadness"
    ]  # fmt: skip


def test_sessions_are_held_out_whole_and_the_seed_draws_them():
    found = {
        seed: {turn.speaker for turn in utterances(read(train=spec(read_acted, sessions=True), seed=seed).split("dev"))}
        for seed in range(6)
    }
    assert all(len(speakers) == 1 for speakers in found.values())
    assert len(set().union(*found.values())) > 1
    with pytest.raises(CorpusError, match=r"has only 2 sessions, so a dev_share of 0\.2 leaves dev or train empty"):
        read(train=spec(read_acted, sessions=True, n_speakers=2))
    assert read(train=spec(read_acted, sessions=True, n_speakers=2), dev_share=0.5).split("dev")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": None}, "option train is missing"),
        ({"test": {"path": "x"}}, "option test is missing"),
        ({"test": {"reader": "nemo", "label": "x"}}, "unknown setting 'label'; did you mean 'labels'"),
        ({"label_map": {**SHARED, "bored": "boredom"}}, r"class 'boredom' has no turn in talk \(labels: anger, dis"),
        ({"label_map": {}}, "label_map: is empty"),
        ({"dev_share": 1.0}, "expected a share between 0 and 1"),
        ({"test": spec(read_acted)}, "have the same utterances"),
        ({"path": "x"}, "give their paths in options train and test"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        read(**options)


def test_a_shared_label_set_is_the_label_set_of_both_corpora(tmp_path):
    (tmp_path / "a.csv").write_text("text,speaker,label,split\na,A,hap,all\nb,B,ang,all\nc,C,hap,all\n")
    (tmp_path / "b.csv").write_text("text,speaker,label,split\na,D,joyful,all\nb,E,angry,all\n")
    corpora = {
        role: {"reader": "table", "path": str(tmp_path / f"{name}.csv")}
        for role, name in zip(("train", "test"), "ab", strict=True)
    }
    corpus = read_corpus("cross-corpus", labels="shared-4", dev_share=0.4, **corpora)
    assert corpus.label_set == LabelSet("shared-4", ("anger", "happiness"))
    assert [turn.label for turn in utterances(corpus.split("test"))] == ["happiness", "anger"]


def test_the_warnings_are_about_the_whole_and_come_once(tmp_path):
    rows = "text,speaker,label,split\na one,A,Joy,all\nb one,B,anger,all\nc one,C,joy,all\nd one,D,joy,all\n"
    (tmp_path / "a.csv").write_text(rows)
    (tmp_path / "b.csv").write_text("text,speaker,label,split\nx,E,joy,all\na one,F,anger,all\n")
    train, test = ({"reader": "table", "path": str(tmp_path / name)} for name in ("a.csv", "b.csv"))
    mapped = read_corpus(
        "cross-corpus", train=train, test=test, dev_share=0.25, label_map={"Joy": "joy", "joy": "joy", "anger": "anger"}
    )
    assert not any("differ only in case" in warning for warning in mapped.warnings)
    assert sum("test: 1 of 2 dialogues has the same texts" in warning for warning in mapped.warnings) == 1
