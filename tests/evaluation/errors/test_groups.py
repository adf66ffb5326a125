import numpy as np
import pytest

from dialogue_ser.evaluation.errors.groups import (
    Grouping,
    averaged_details,
    grouping_scores,
    groupings,
    item_differences,
)
from dialogue_ser.evaluation.errors.suite_turns import read_suite_turns
from dialogue_ser.evaluation.suite.contents import read_contents


@pytest.fixture
def data(folder):
    return read_suite_turns(read_contents(folder), "test")


def members(data, kind: str) -> dict[str, list[int]]:
    found = next(one for one in groupings(data, np.array([0.5, 1, 3, np.nan, 9, 1, 1, 1]))[0] if one.kind == kind)
    return {name: np.flatnonzero(found.group_N == i).tolist() for i, name in enumerate(found.names)}


def test_every_kind_of_group_has_the_turns_that_it_names(data):
    assert members(data, "emotion_shift") == {"shifted": [2], "stayed": [3], "first turn of speaker": [0, 1, 4, 6, 7]}
    assert members(data, "emotion_change") == {
        "changed": [1], "same": [2, 3, 6], "first turn of dialogue": [0, 4, 7]
    }  # fmt: skip
    assert members(data, "turn_position") == {"1": [0, 4, 7], "2–3": [1, 2, 5, 6], "4–6": [3]}
    assert members(data, "dialogue_length") == {"1": [7], "2–4": [0, 1, 2, 3, 4, 5, 6]}
    assert members(data, "turn_words") == {"1–2": [0, 1, 4, 5, 6, 7], "3–5": [2], "no text": [3]}
    assert members(data, "speaker_in_train") == {"in train": [0, 2, 4], "not in train": [1, 3, 5, 6, 7]}
    assert members(data, "turn_seconds") == {
        "under 1 s": [0],
        "1 to 2 s": [1, 5, 6, 7],
        "2 to 4 s": [2],
        "8 s or more": [4],
    }


def test_scores_of_a_group_are_means_over_seeds_of_its_labelled_turns(data):
    grouping = next(one for one in groupings(data)[0] if one.kind == "turn_position")
    found = grouping_scores(data, grouping, data.systems)
    assert [(group["name"], group["n"], group["dialogues"]) for group in found["groups"]] == [
        ("1", 3, 3), ("2–3", 3, 2), ("4–6", 1, 1)
    ]  # fmt: skip
    # x1 is right at 1 0 1 | 1 1 0 | 1, x2 at the same turns but not at the third (a for b); y: 0 0 0 | 1 1 0 | 1.
    accuracy = {system: [one["mean"] for one in values["accuracy"]] for system, values in found["scores"].items()}
    assert accuracy["x"] == pytest.approx([1.0, (2 / 3 + 1 / 3) / 2, 1.0])
    assert accuracy["y"] == pytest.approx([0.0, 2 / 3, 1.0])
    assert found["scores"]["x"]["accuracy"][1]["values"] == pytest.approx([2 / 3, 1 / 3])
    assert found["scores"]["x"]["accuracy"][1]["std"] == pytest.approx(np.std([2 / 3, 1 / 3], ddof=1))
    assert all(group["is_small"] for group in found["groups"])
    assert found["differences"] == [None, None, None]


@pytest.mark.parametrize("n_rare", [1, 3])
def test_rare_speakers_are_together_and_frequent_ones_alone(tmp_path, write_error_suite, n_rare):
    frequent = [f"S{i}" for i in range(10)]
    names = [name for i, name in enumerate(frequent) for _ in range(30 - i)] + [f"rare {i}" for i in range(n_rare)]
    turns = [("test", f"d{i // 5}", name, "x", "ab"[i % 2]) for i, name in enumerate(names)]
    numbers = [(0.6, 0.4)] * len(turns)
    folder = write_error_suite(tmp_path / "s", turns, {"x": {1: numbers}, "y": {1: numbers}})
    data = read_suite_turns(read_contents(folder), "test")
    found = next(one for one in groupings(data)[0] if one.kind == "speaker")
    assert found.names == (*frequent, "rare 0" if n_rare == 1 else "others (3 speakers)")
    assert np.bincount(found.group_N).tolist() == [*range(30, 20, -1), n_rare]


def test_the_difference_of_a_pair_is_that_of_the_scores_and_its_interval_draws_dialogues(tmp_path, write_error_suite):
    rng = np.random.default_rng(0)
    turns = [("test", f"d{i // 4}", "Ann", "x", "ab"[i % 2]) for i in range(160)]
    gold = np.arange(160) % 2
    systems = {
        name: {seed: [(1 - p, p) for p in np.clip(skill * gold + rng.random(160) * 0.8, 0, 1)] for seed in (1, 2)}
        for name, skill in (("good", 0.8), ("weak", 0.1))
    }
    folder = write_error_suite(tmp_path / "s", turns, systems)
    data = read_suite_turns(read_contents(folder), "test")
    grouping = Grouping(kind="own", names=("early", "late", "few"), group_N=np.repeat([0, 1, 2], [80, 64, 16]))
    found = grouping_scores(data, grouping, data.systems)
    means = {name: [one["mean"] for one in found["scores"][name]["weighted_f1"]] for name in systems}
    for g in (0, 1):
        one = found["differences"][g]
        assert one["estimate"] == pytest.approx(means["good"][g] - means["weak"][g])
        assert 0 < one["low"] < one["estimate"] < one["high"]
        assert one["n_dialogues"] == (20, 16)[g]
    assert found["differences"][2] is None


def test_folds_are_drawn_in_a_cross_validation(tmp_path, write_error_suite):
    rng = np.random.default_rng(1)
    turns = [("test", f"d{i // 4}", "Ann", "x", "ab"[i % 2]) for i in range(160)]
    systems = {name: {1: rng.dirichlet([1, 1], 160)} for name in "xy"}
    folds = [f"f{i // 20}" for i in range(160)]
    data = read_suite_turns(read_contents(write_error_suite(tmp_path / "s", turns, systems, folds=folds)), "test")
    found, notes = groupings(data)
    assert "not known in a cross-validation" in notes[-1]
    by_fold = next(one for one in found if one.kind == "fold")
    assert len(by_fold.names) == 8
    position = next(one for one in found if one.kind == "turn_position")
    assert grouping_scores(data, position, data.systems)["differences"][0]["n_dialogues"] == 8
    assert grouping_scores(data, by_fold, data.systems)["differences"] == [None] * 8


def test_details_of_a_system_are_means_over_seeds(data):
    found = averaged_details(data.system("x"))
    # x1: a a a (gold a: a a b), gold b all b. x2: gold b has one a.
    assert found["confusion"] == [[2.0, 1.0], [0.5, 3.5]]
    assert found["items"]["b"]["support"] == 4
    assert found["items"]["b"]["recall"]["values"] == [1.0, 0.75]
    assert found["scores"]["accuracy"]["values"] == pytest.approx([6 / 7, 5 / 7])


def test_differences_of_classes_are_those_of_their_f1_and_rare_classes_have_none(tmp_path, write_error_suite):
    rng = np.random.default_rng(2)
    gold = ["a"] * 60 + ["b"] * 60 + ["c"] * 8
    turns = [("test", f"d{i % 16}", "Ann", "x", name) for i, name in enumerate(gold)]
    systems = {name: {seed: rng.dirichlet([1, 1, 1], 128) for seed in (1, 2)} for name in "xy"}
    data = read_suite_turns(read_contents(write_error_suite(tmp_path / "s", turns, systems, "abc")), "test")
    found = item_differences(data, data.systems)
    f1 = [averaged_details(system)["items"] for system in data.systems]
    for i, name in enumerate("ab"):
        assert found[i]["estimate"] == pytest.approx(f1[0][name]["f1"]["mean"] - f1[1][name]["f1"]["mean"])
        assert found[i]["low"] < found[i]["estimate"] < found[i]["high"]
    assert found[2] is None
    assert item_differences(data, data.systems[:1]) == [None, None, None]


def test_differences_of_dimensions_are_those_of_their_ccc(tmp_path, write_error_suite):
    rng = np.random.default_rng(3)
    turns = [("test", f"d{i % 10}", "Ann", "x", None) for i in range(60)]
    gold = rng.normal(size=(60, 2))
    gold[5:, 1] = np.nan
    systems = {name: {1: gold * skill + rng.normal(size=(60, 2))} for name, skill in (("x", 1.0), ("y", 0.2))}
    systems = {name: {1: np.nan_to_num(seeds[1])} for name, seeds in systems.items()}
    folder = write_error_suite(tmp_path / "s", turns, systems, ("v", "w"), gold_values=gold)
    data = read_suite_turns(read_contents(folder), "test")
    found = item_differences(data, data.systems)
    items = [averaged_details(system)["items"] for system in data.systems]
    assert found[0]["estimate"] == pytest.approx(items[0]["v"]["ccc"]["mean"] - items[1]["v"]["ccc"]["mean"])
    assert found[0]["low"] > 0
    assert found[1] is None
