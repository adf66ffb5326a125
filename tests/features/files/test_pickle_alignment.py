import random
from dataclasses import replace

import numpy as np
import pytest

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.files.pickle_alignment import align_with_corpus, name_by_pattern
from dialogue_ser.features.files.pickle_layouts import PickledTurn


def turn(key=None, dialogue=None, position=0, text=None, split=None, value=0.0, label=None):
    rows = {"text": np.array([value], np.float32)}
    return PickledTurn(key=key, dialogue=dialogue, position=position, text=text, split=split, rows=rows, label=label)


def corpus(**splits):
    """split → dialogue → {utterance number: text}; numbers may leave gaps."""
    made = {
        split: tuple(
            Dialogue(
                f"{split}/{name}",
                tuple(Utterance(id=f"{split}/{name}_utt{i}", speaker="s", text=text) for i, text in texts.items()),
            )
            for name, texts in dialogues.items()
        )
        for split, dialogues in splits.items()
    }
    return Corpus(name="c", label_set=LabelSet("emotion", ("a",)), splits=made)


def values(aligned):
    return {key: float(found.rows["text"][0]) for key, found in aligned.items()}


GAPPY = corpus(
    train={"dia0": {0: "Hello there", 2: "Oh my", 3: "It’s over"}, "dia1": {0: "Hello there", 1: "Never"}},
    dev={"dia0": {0: "Yes", 1: "Yes", 2: "No"}},
)


def test_ids_are_those_of_the_pickle_not_positions():
    turns = [turn("0_0", "0", 0, split="train"), turn("0_2", "0", 1, split="train", value=2)]
    assert values(name_by_pattern(turns, None)[0]) == {"0_0": 0, "0_2": 2}
    single = [turn("12_3", split="dev", value=5)]
    aligned, problems = name_by_pattern(single, "{split}/dia{dialogue}_utt{utterance}")
    assert (values(aligned), problems) == ({"dev/dia12_utt3": 5}, [])
    with pytest.raises(ConfigError, match=r"use \{key\}, \{split\}, \{dialogue\}, \{utterance\}"):
        name_by_pattern(single, "{position}")


def test_an_order_without_ids_asks_for_a_corpus():
    with pytest.raises(FeatureError, match=r"an order is no id .*--reader meld"):
        name_by_pattern([turn(dialogue="0")], None)


def test_ids_that_collide_or_lack_their_split_are_named():
    turns = [turn("0", "0"), turn("0", "1")]
    aligned, problems = name_by_pattern(turns, None)
    assert len(aligned) == 1
    assert problems == [
        "dialogue 1 row 0: its id '0' is already used by dialogue 0 row 0; set --id-pattern or --reader"
    ]
    assert "does not say its split" in name_by_pattern(turns[:1], "{split}/{key}")[1][0]


def test_dialogues_are_aligned_by_their_words_and_gaps_are_respected():
    turns = [
        turn(dialogue="7", position=0, text="hello there!", value=1),
        turn(dialogue="7", position=1, text="It's over", value=2),
        turn(dialogue="3", position=0, text="Yes", value=3),
        turn(dialogue="3", position=1, text="Yes", value=4),
        turn(dialogue="3", position=2, text="no", value=5),
        turn(dialogue="9", position=0, text="Hello there", value=6),
        turn(dialogue="9", position=1, text="never", value=7),
    ]
    aligned, problems = align_with_corpus(turns, GAPPY)
    assert problems == []
    assert values(aligned) == {
        "train/dia0_utt0": 1,
        "train/dia0_utt3": 2,
        "dev/dia0_utt0": 3,
        "dev/dia0_utt1": 4,
        "dev/dia0_utt2": 5,
        "train/dia1_utt0": 6,
        "train/dia1_utt1": 7,
    }


def test_rows_that_fit_nowhere_are_named():
    turns = [
        turn(dialogue="1", position=0, text="Hello there", value=1),
        turn(dialogue="1", position=1, text="something else", value=2),
        turn(dialogue="1", position=2, text="never", value=3),
        turn(dialogue="2", position=0, text="a stranger", value=4),
    ]
    aligned, problems = align_with_corpus(turns, GAPPY)
    assert values(aligned) == {"train/dia1_utt0": 1, "train/dia1_utt1": 3}
    assert problems == [
        "dialogue 1 row 1 'something else': not in train/dia1, or it has other words there",
        "dialogue 2 row 0 'a stranger': no dialogue of the corpus has its words",
    ]


def test_without_texts_only_a_whole_dialogue_of_that_id_fits():
    whole = [turn(dialogue="0", position=i, split="dev", value=i) for i in range(3)]
    assert values(align_with_corpus(whole, GAPPY)[0]) == {"dev/dia0_utt0": 0, "dev/dia0_utt1": 1, "dev/dia0_utt2": 2}
    aligned, problems = align_with_corpus(whole[:2], GAPPY)
    assert aligned == {}
    assert len(problems) == 2
    assert "2 rows, but dev/dia0 has 3 turns" in problems[0]
    assert "no dialogue of that id" in align_with_corpus([turn(dialogue="44")], GAPPY)[1][0]


def test_numbers_place_dialogues_without_texts_if_all_have_the_right_number_of_turns():
    sizes = [3, 2, 3]  # of the dialogues of GAPPY, in order
    turns = [turn(dialogue=str(5 + d), position=i, value=10 * d + i) for d, n in enumerate(sizes) for i in range(n)]
    aligned, problems = align_with_corpus(turns, GAPPY)
    assert problems == []
    assert values(aligned)["train/dia0_utt2"] == 1
    assert values(aligned)["dev/dia0_utt2"] == 22
    assert align_with_corpus(turns[:-1], GAPPY)[0] == {}


def test_a_row_with_another_label_is_refused_and_the_message_names_both():
    texts = [f"line {i}" for i in range(20)]
    dialogue = corpus(train={"dia0": dict(enumerate(texts))}).splits["train"][0]
    labelled = tuple(replace(one, label="b" if i == 7 else "a") for i, one in enumerate(dialogue))
    splits = {"train": (replace(dialogue, utterances=labelled),)}
    turns = [turn(dialogue="0", position=i, text=text, label="3") for i, text in enumerate(texts)]
    aligned, problems = align_with_corpus(turns, Corpus(name="c", label_set=LabelSet("e", ("a", "b")), splits=splits))
    assert len(aligned) == 19
    assert problems == ["dialogue 0 row 7 'line 7': its label 3 stands for a, but train/dia0_utt7 has b"]


def test_a_single_utterance_stays_in_its_split_and_two_rows_for_one_utterance_are_refused():
    assert "has it in split dev" in align_with_corpus([turn("dev/dia0_utt1", split="train")], GAPPY)[1][0]
    aligned, problems = align_with_corpus([turn("train/dia1_utt1"), turn("dia1_utt1")], GAPPY)
    assert aligned == {}
    assert problems[1] == "dia1_utt1: 2 rows mean the utterance train/dia1_utt1"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_pickle_leaves_out_no_row_gets_a_wrong_utterance(seed):
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(rng.choice([4, 12, 60]))]
    made = corpus(
        **{
            split: {f"dia{d}": {i: rng.choice(words) for i in range(rng.randint(1, 6))} for d in range(size)}
            for split, size in {"train": 20, "dev": 6, "test": 9}.items()
        }
    )
    share, keeps_numbers, states_splits = rng.choice([0, 0.1, 0.4]), rng.random() < 0.5, rng.random() < 0.7
    turns, number, n_rows = [], 100, 0
    ids = [turn.id for dialogues in made.splits.values() for dialogue in dialogues for turn in dialogue]
    for split, dialogues in made.splits.items():
        for dialogue in dialogues:
            kept = [one for one in dialogue if rng.random() >= share] if rng.random() >= share else []
            number += bool(kept) or keeps_numbers
            for i, one in enumerate(kept):
                where = {"dialogue": str(number), "position": i, "split": split if states_splits else None}
                turns.append(turn(text=one.text.upper(), value=ids.index(one.id), **where))
                n_rows += 1
    rng.shuffle(turns)
    turns.sort(key=lambda one: one.position)  # the dialogues stand in any order, their rows in their own
    aligned, problems = align_with_corpus(turns, made)
    assert {key: ids[int(value)] for key, value in values(aligned).items()} == {key: key for key in aligned}
    assert len(aligned) + len(problems) == n_rows
    if not share:
        assert not problems, "everything is there, and the numbers run through it"


def test_single_utterances_need_an_id_of_the_corpus_that_only_one_split_has():
    assert list(align_with_corpus([turn("dev/dia0_utt1")], GAPPY)[0]) == ["dev/dia0_utt1"]
    assert list(align_with_corpus([turn("dia1_utt1")], GAPPY)[0]) == ["train/dia1_utt1"]
    assert list(align_with_corpus([turn("dia0_utt0", split="dev")], GAPPY)[0]) == ["dev/dia0_utt0"]
    assert "several splits have it" in align_with_corpus([turn("dia0_utt0")], GAPPY)[1][0]
    assert "no such utterance" in align_with_corpus([turn("dia0_utt9")], GAPPY)[1][0]


@pytest.mark.parametrize(
    "pattern", ["{key", "{key}}", "{}", "{key:d}", "{key!x}", "{key.__class__}", "{key:{utterance}}"]
)
def test_a_pattern_is_plain_names_in_braces(pattern):
    turn = PickledTurn(key="a_1", dialogue=None, position=0, text=None, split=None, rows={})
    with pytest.raises(ConfigError, match=r"--id-pattern .*use \{key\}"):
        name_by_pattern([turn], pattern)
