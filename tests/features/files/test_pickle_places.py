"""Where the dialogues of a pickle belong; the rows are in test_pickle_alignment.py."""

import random

import pytest

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.features.files.pickle_dialogues import Group, in_pools
from dialogue_ser.features.files.pickle_layouts import PickledTurn
from dialogue_ser.features.files.pickle_places import find_places
from dialogue_ser.features.files.pickle_words import Comparison, Labels

SPLITS = {
    "train": ["one|hey|x", "hey", "two|yes", "hey|yes", "yes", "three|hey", "hey"],
    "dev": ["four|hey", "hey", "yes|five"],
    "test": ["hey", "six|yes", "yes"],
}


def corpus(splits: dict[str, list[str]] = SPLITS) -> Corpus:
    """split → dialogues as texts joined by ``|``; their ids are ``split/dia0`` and so on."""
    made = {
        split: tuple(
            Dialogue(f"{split}/dia{i}", tuple(Utterance(id=f"{split}/dia{i}_utt{j}", speaker="A", text=text)
                                              for j, text in enumerate(texts.split("|"))))
            for i, texts in enumerate(dialogues)
        )
        for split, dialogues in splits.items()
    }  # fmt: skip
    return Corpus(name="c", label_set=LabelSet("emotion", ("a",)), splits=made)


def group(key: object, texts: str, split: str | None = None) -> Group:
    rows = [PickledTurn(key=None, dialogue=str(key), position=i, text=text, split=split, rows={})
            for i, text in enumerate(texts.split("|"))]  # fmt: skip
    return Group(str(key), split, tuple(rows))


def placed(groups: list[Group], source: Corpus | None = None) -> dict[str, str]:
    """Key of a dialogue → id of its place; the same for every order of the dialogues."""
    answers = []
    for seed in range(3):
        shuffled = random.Random(seed).sample(groups, len(groups))
        found = in_pools(
            shuffled, source or corpus(), lambda some, places: find_places(some, places, Comparison(Labels()))
        )
        answers.append({one.key: place.dialogue.id for one, place in found.items()})
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


def numbered(step: int = 1, with_splits: bool = True) -> list[Group]:
    texts = [(split, text) for split, dialogues in SPLITS.items() for text in dialogues]
    return [group(step * i, text, split if with_splits else None) for i, (split, text) in enumerate(texts)]


@pytest.mark.parametrize(("step", "with_splits"), [(1, True), (1, False), (10, True)])
def test_numbers_that_run_through_the_corpus_place_every_dialogue_even_of_common_words(step, with_splits):
    ids = [f"{split}/dia{i}" for split, dialogues in SPLITS.items() for i in range(len(dialogues))]
    assert placed(numbered(step, with_splits)) == {str(step * i): name for i, name in enumerate(ids)}


def test_if_dialogues_are_left_out_numbers_with_gaps_place_the_others_and_new_numbers_only_what_is_clear():
    kept = [one for one in numbered() if one.key not in ("1", "3")]
    found = placed(kept)
    assert found["4"] == "train/dia4"
    assert len(found) == len(kept)
    anew = [Group(str(i), one.split, one.rows) for i, one in enumerate(kept)]
    again = placed(anew)
    assert again["0"] == "train/dia0"
    assert again["1"] == "train/dia2"
    assert "2" not in again, "'yes' between two|yes and three|hey may be dialogue 3 or 4"
    assert again["4"] == "train/dia6"


def test_a_dialogue_stays_in_its_split_although_only_another_one_has_its_words():
    assert placed([group(0, "four|hey", "train"), group(1, "two|yes", "train"), group(2, "hey", "dev")]) == {
        "1": "train/dia2"
    }


def test_a_train_that_holds_dev_is_recognised_but_only_if_no_dev_is_stated():
    texts = SPLITS["train"] + SPLITS["dev"]
    joined = [group(i, text, "train") for i, text in enumerate(texts)]
    joined += [group(10 + i, text, "test") for i, text in enumerate(SPLITS["test"])]
    assert placed(joined)["8"] == "dev/dia1"
    assert "8" not in placed([*joined, group(99, "unheard", "dev")])


def test_without_an_order_names_or_words_that_only_one_dialogue_has_decide():
    keys = random.Random(4).sample(range(100), 13)
    shuffled = [Group(str(key), one.split, one.rows) for key, one in zip(keys, numbered(), strict=True)]
    found = placed(shuffled)
    for key, one in zip(keys, numbered(), strict=True):
        expected = {"one|hey|x": "train/dia0", "four|hey": "dev/dia0", "six|yes": "test/dia1"}
        texts = "|".join(str(row.text) for row in one.rows)
        assert found.get(str(key), "") == expected[texts] if texts in expected else True
    assert str(keys[1]) not in found, "several dialogues of train have this word"
    named = [group(f"dia{i}", text, split) for split, texts in SPLITS.items() for i, text in enumerate(texts)]
    assert len(placed([Group(f"{one.split}/{one.key}", one.split, one.rows) for one in named])) == 13


def test_one_common_word_of_many_is_no_place():
    assert placed([group(0, "stranger|foreign|hey", "test")]) == {}
    assert placed([group(0, "six|stranger", "test")]) == {"0": "test/dia1"}


def test_a_key_of_thousands_of_digits_is_no_trouble():
    assert placed([group("9" * 5000, "six|yes", "test"), group("8" * 5000, "hey", "test")])["9" * 5000] == "test/dia1"


def test_two_dialogues_never_get_one_place():
    assert placed([group("a", "six|yes", "test"), group("b", "six|yes", "test")]) == {}
