"""One error names all bad rows, and the warnings name all odd ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.validate import validate
from dialogue_ser.errors import CorpusError

LABELS = LabelSet("emotion", ("neutral", "joy", "anger"))


def turn(name: str, **fields) -> Utterance:
    row = {"id": f"train/{name}", "speaker": "Ross", "text": "Hi.", "label": "joy", "origin": f"a.csv row {name[-1]}"}
    return Utterance(**(row | fields))


def corpus(*turns: Utterance, split: str = "train", dialogue: str = "train/d", **more) -> Corpus:
    return Corpus(name="own", label_set=LABELS, splits={split: (Dialogue(dialogue, turns),)} | more)


def problems(broken: Corpus) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        validate(broken)
    return caught.value.problems


def test_a_good_corpus_does_not_change():
    good = corpus(turn("d_utt0"), turn("d_utt1"))
    assert validate(good) == good


def test_one_error_names_all_bad_rows():
    broken = corpus(
        turn("d_utt2", label="joyy"),
        turn("d_utt3", speaker=" "),
        turn("d_utt3"),
        turn("d_utt4", start_seconds=2.0, end_seconds=1.0),
        turn("d_utt5", votes={"happy": 1.0}),
        turn("d_utt6", votes={"joy": 0.0}),
        turn("d_utt7", audio=AudioRef(Path("a.wav"), -1.0, 2.0)),
        turn("d_utt8", id="test/d_utt8"),
    )
    found = problems(broken)
    assert len(found) == 8
    text = "\n".join(found)
    for sentence in (
        "a.csv row 2 (train/d_utt2): unknown emotion label 'joyy'; did you mean 'joy'?",
        "a.csv row 3 (train/d_utt3): has no speaker",
        "a.csv row 3 (train/d_utt3): id 'train/d_utt3' is also the id of a.csv row 3",
        "a.csv row 4 (train/d_utt4): times 2.0–1.0 s; the end is before the start",
        "a.csv row 5 (train/d_utt5): votes: unknown emotion label 'happy'",
        "a.csv row 6 (train/d_utt6): votes {'joy': 0.0}: every number must be finite",
        "a.csv row 7 (train/d_utt7): audio span -1.0–2.0 s",
        "a.csv row 8 (test/d_utt8): is in split 'train'; its id must begin with 'train/'",
    ):
        assert sentence in text


@pytest.mark.parametrize("seconds", [1.7e12, 1e24])
def test_times_of_thousands_of_years_are_refused(seconds: float) -> None:
    (problem,) = problems(corpus(turn("d_utt2", start_seconds=seconds)))
    assert "give seconds, not milliseconds" in problem
    validate(corpus(turn("d_utt2", start_seconds=1.7e9)))


def test_duplicate_ids_name_both_rows():
    (problem,) = problems(corpus(turn("d_utt2", origin="a.csv row 2"), turn("d_utt2", origin="b.csv row 9")))
    assert "a.csv row 2" in problem
    assert "b.csv row 9" in problem


def test_dialogue_ids_are_unique_and_begin_with_their_split():
    dialogues = (Dialogue("train/d", (turn("a"),)), Dialogue("train/d", (turn("b"),)), Dialogue("e", (turn("c"),)))
    found = problems(Corpus(name="own", label_set=LABELS, splits={"train": dialogues}))
    assert len(found) == 2
    assert "dialogue id 'train/d' is also the id of a.csv row a" in found[0]
    assert "dialogue e: is in split 'train'" in found[1]


def test_an_empty_split_is_named():
    assert "split 'dev' is empty" in problems(corpus(turn("a"), dev=()))[0]
    assert "has no split" in problems(Corpus(name="own", label_set=LABELS, splits={}))[0]


# --- dimensions -------------------------------------------------------------------------------------------------


def test_one_error_names_all_bad_targets():
    broken = replace(
        corpus(
            turn("d_utt0", targets={"valence": 3.0, "arousal": -2.5}),
            turn("d_utt1", targets={"valenc": 3.0}),
            turn("d_utt2", targets={"valence": float("nan"), "arousal": float("inf")}),
            turn("d_utt3", targets={"arousal": "2.5"}, label="joyy"),
        ),
        dimensions=("valence", "arousal"),
    )
    assert problems(broken) == (
        "a.csv row 1 (train/d_utt1): targets: unknown dimension 'valenc'; did you mean 'valence'? Known: arousal, "
        "valence",
        "a.csv row 2 (train/d_utt2): targets: valence nan is not a finite number; leave valence out where it was "
        "not annotated",
        "a.csv row 2 (train/d_utt2): targets: arousal inf is not a finite number; leave arousal out where it was "
        "not annotated",
        "a.csv row 3 (train/d_utt3): unknown emotion label 'joyy'; did you mean 'joy'? Known: anger, joy, neutral; "
        "correct it or map it (--data.options.label_map)",
        "a.csv row 3 (train/d_utt3): targets: arousal '2.5' is not a finite number; leave arousal out where it was "
        "not annotated",
    )


def test_targets_need_dimensions_and_labels_need_classes():
    (found,) = problems(corpus(turn("d_utt0", targets={"valence": 3.0})))
    assert "has targets (valence), but the corpus has no dimensions" in found
    bare = corpus(turn("d_utt0"), turn("d_utt1", label=None), turn("d_utt2", label=None, votes={"joy": 1.0}))
    found = problems(replace(bare, label_set=None, dimensions=("valence",)))
    assert [problem.partition(":")[0] for problem in found] == [
        "a.csv row 0 (train/d_utt0)",
        "a.csv row 2 (train/d_utt2)",
    ]
    assert "has a label or votes, but the corpus has no classes" in found[0]


def test_dimensions_without_any_value_are_a_warning_by_split():
    annotated = turn("d_utt0", label=None, targets={"valence": 3.0})
    other = Dialogue("dev/d", (turn("d_utt0", id="dev/d_utt0", label=None, text="Another text."),))
    checked = validate(replace(corpus(annotated, dev=(other,)), label_set=None, dimensions=("valence", "arousal")))
    assert checked.warnings == (
        "train: no turn has a value of arousal; the split can be predicted but not scored",
        "dev: no turn has a value of valence, arousal; the split can be predicted but not scored",
    )


def test_gaps_in_ids_are_a_warning():
    checked = validate(corpus(turn("d_utt0"), turn("d_utt2")))
    assert checked.warnings == (
        "train: utterance ids have gaps in 1 dialogues (train/d); the reader adds no turn there",
    )


def test_ids_may_start_at_one_if_all_dialogues_do():
    assert validate(corpus(turn("d_utt1"), turn("d_utt2"))).warnings == ()
    late = (Dialogue("train/d", (turn("d_utt0"), turn("d_utt1"))), Dialogue("train/e", (turn("e_utt1"),)))
    warned = validate(Corpus(name="own", label_set=LABELS, splits={"train": late})).warnings
    assert warned == ("train: utterance ids have gaps in 1 dialogues (train/e); the reader adds no turn there",)


def test_dialogues_of_one_turn_have_no_gaps():
    single = (Dialogue("train/d", (turn("d_utt1"),)), Dialogue("train/e", (turn("e_utt7"),)))
    assert validate(Corpus(name="own", label_set=LABELS, splits={"train": single})).warnings == ()


def test_numbers_of_any_length_in_ids_are_no_traceback():
    assert validate(corpus(turn("d_utt0"), turn(f"d_utt{'9' * 5000}"))).warnings == ()


def test_odd_turns_are_warnings():
    odd = corpus(
        turn("a", start_seconds=1.0, end_seconds=1.0, label=None),
        turn("b", start_seconds=1.0, end_seconds=100.0, label=None),
        turn("c", text=None, label=None),
    )
    text = "\n".join(validate(odd).warnings)
    assert "1 turns have zero length by their times (train/a)" in text
    assert "1 turns are longer than 60 s by their times (train/b: 99 s)" in text
    assert "1 turns have neither text nor audio (train/c)" in text
    assert "no turn is labelled" in text


def test_dialogues_of_one_and_of_five_hundred_turns_are_fine():
    long = tuple(turn(f"d_utt{number}") for number in range(500))
    assert validate(corpus(*long)).warnings == ()
    assert validate(corpus(turn("d_utt0"))).warnings == ()


def test_numbers_of_single_utterances_do_not_count_turns():
    turns = [Utterance(id=f"all/EB0_anger_{number}", speaker="EB0", text="x", label="joy") for number in (31, 34)]
    single = Corpus(
        name="single",
        label_set=LabelSet("emotion", ("joy",)),
        splits={"all": tuple(Dialogue(turn.id, (turn,)) for turn in turns)},
    )
    assert validate(single).warnings == ()
