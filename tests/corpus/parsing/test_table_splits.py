"""The turns of a table come into splits by the rule that the table or the options state."""

from collections import Counter

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import ConfigError, CorpusError


def table(tmp_path, content: str, **options):
    (tmp_path / "a.csv").write_text(content)
    return read_corpus("table", tmp_path / "a.csv", **options)


def problems(tmp_path, content: str, **options) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        table(tmp_path, content, **options)
    return caught.value.problems


def sizes(corpus) -> dict[str, int]:
    return {split: len(found) for split, found in corpus.splits.items()}


def rows(*splits: str, header: str = "split,dialogue,text,label") -> str:
    return header + "\n" + "".join(f"{split},{number},t,joy\n" for number, split in enumerate(splits))


# --- names ------------------------------------------------------------------------------------------------------


def test_usual_names_of_splits_become_train_dev_and_test_and_a_warning_says_so(tmp_path):
    corpus = table(tmp_path, rows("Train", "VALIDATION", "Test", "extra", "train"))
    assert sizes(corpus) == {"train": 2, "dev": 1, "test": 1, "extra": 1}
    assert any("Train is train, VALIDATION is dev, Test is test" in warning for warning in corpus.warnings)
    assert corpus.split("dev")[0].id == "dev/1"


def test_two_names_for_one_split_stay_and_so_do_names_that_the_user_wants(tmp_path):
    assert sizes(table(tmp_path, rows("train", "dev", "val"))) == {"train": 1, "dev": 1, "val": 1}
    kept = table(tmp_path, rows("Train", "valid"), split_names="as-written")
    assert sizes(kept) == {"Train": 1, "valid": 1}
    with pytest.raises(ConfigError, match="split_names 'x'; expected usual or as-written"):
        table(tmp_path, rows("train"), split_names="x")


def test_the_names_of_files_are_usual_names_too(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("text,label\nhi,joy\n")
    corpus = read_corpus("table", tmp_path, files={"train": "a.csv", "valid": "b.csv"})
    assert sizes(corpus) == {"train": 1, "dev": 1}


# --- ids that start again ---------------------------------------------------------------------------------------

HEADER = "split,Dialogue_ID,Utterance_ID,text,label\n"


def test_dialogue_ids_that_start_again_in_each_split_name_dialogues_with_their_split(tmp_path):
    content = HEADER + "".join(f"{split},0,{number},t,joy\n" for split in ("train", "dev", "test") for number in (0, 1))
    corpus = table(tmp_path, content)
    assert [(dialogue.id, len(dialogue)) for found in corpus.splits.values() for dialogue in found] == [
        ("train/0", 2), ("dev/0", 2), ("test/0", 2)
    ]  # fmt: skip
    assert any("columns: {dialogue: [split, Dialogue_ID]}" in warning for warning in corpus.warnings)
    stated = table(tmp_path, content, columns={"dialogue": ["split", "Dialogue_ID"]})
    assert sizes(stated) == sizes(corpus)


def test_ids_without_utterance_numbers_start_again_if_the_splits_are_blocks(tmp_path):
    content = "split,dialogue,text,label\n" + "".join(
        f"{split},{number},t,joy\n" * 2 for split, count in (("train", 5), ("dev", 2)) for number in range(count)
    )
    assert sizes(table(tmp_path, content)) == {"train": 5, "dev": 2}


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "train,1,0,t,joy\ntrain,1,1,t,joy\ndev,1,2,t,joy\ndev,2,0,t,joy\n",  # numbers go on: a dialogue is cut
        HEADER + "train,1,0,t,joy\ndev,1,1,t,joy\ntrain,1,2,t,joy\ndev,2,0,t,joy\n",
        "split,dialogue,text,label\ntrain,1,t,joy\ntrain,1,t,joy\ndev,1,t,joy\ndev,2,t,joy\ndev,3,t,joy\n",
        "split,dialogue,text,label\ntrain,1,t,joy\ndev,1,t,joy\ntrain,1,t,joy\ndev,2,t,joy\n",
    ],
)
def test_a_dialogue_in_two_splits_is_an_error_that_proposes_the_split_as_a_part_of_its_name(tmp_path, content):
    (problem, *_) = problems(tmp_path, content)
    assert "puts dialogue 1 into 'dev'" in problem
    assert "if the ids start again in each split, name both: columns: {dialogue: [split, " in problem


def test_one_file_as_a_dialogue_is_one_dialogue_in_each_split(tmp_path):
    corpus = table(tmp_path, rows("train", "dev", "train"), dialogue="file")
    assert [(dialogue.id, len(dialogue)) for found in corpus.splits.values() for dialogue in found] == [
        ("train/a", 2), ("dev/a", 1)
    ]  # fmt: skip


# --- splits that are drawn --------------------------------------------------------------------------------------


def test_a_table_without_splits_is_divided_at_random_and_says_so(tmp_path):
    content = "dialogue,text,label\n" + "".join(f"{number // 2},t,joy\n" for number in range(80))
    corpus = table(tmp_path, content)
    assert sizes(corpus) == {"train": 32, "dev": 4, "test": 4}
    assert all(len(dialogue) == 2 for found in corpus.splits.values() for dialogue in found)
    assert any("the 40 dialogues were drawn at random: train 32, dev 4, test 4 (seed 0" in w for w in corpus.warnings)
    assert table(tmp_path, content) == corpus
    assert table(tmp_path, content, seed=1) != corpus


@pytest.mark.parametrize("n", range(3, 12))
def test_a_few_dialogues_give_dev_and_test_at_least_one(tmp_path, n):
    content = "dialogue,text,label\n" + "".join(f"{number},t,joy\n" for number in range(n))
    assert sizes(table(tmp_path, content)) == {"train": n - 2, "dev": 1, "test": 1}


@pytest.mark.parametrize("n", [1, 2])
def test_dialogues_too_few_to_draw_from_are_all_train_and_a_warning_says_so(tmp_path, n):
    corpus = table(tmp_path, "dialogue,text,label\n" + "".join(f"{number},t,joy\n" for number in range(n)))
    assert sizes(corpus) == {"train": n}
    assert any(f"the number of dialogues, {n}, is too small" in warning for warning in corpus.warnings)


def test_fractions_of_less_than_one_are_drawn_from_train(tmp_path):
    content = rows(*["train"] * 20, *["test"] * 3)
    corpus = table(tmp_path, content, fractions={"dev": 0.2}, seed=3)
    assert sizes(corpus) == {"train": 16, "test": 3, "dev": 4}
    assert Counter(turn.id.split("/")[0] for found in corpus.splits.values() for one in found for turn in one) == {
        "train": 16, "test": 3, "dev": 4
    }  # fmt: skip
    assert any("dev 4 of the 20 dialogues of train were drawn at random (seed 3" in w for w in corpus.warnings)
    with pytest.raises(ConfigError, match="has a split test already"):
        table(tmp_path, content, fractions={"test": 0.2})
