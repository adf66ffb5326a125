import csv
import json
import shutil

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.errors.analyse import analyse_errors, chosen_pair
from dialogue_ser.evaluation.errors.suite_turns import read_suite_turns
from dialogue_ser.evaluation.suite.contents import read_contents


def analysed(folder, **settings) -> dict:
    return json.loads((analyse_errors(folder, **settings) / "errors.json").read_text())


def test_the_numbers_of_a_moved_folder_are_the_same(folder, tmp_path):
    before = analysed(folder)
    assert before["counts"] == {"turns": 8, "labelled": 7, "dialogues": 3}
    assert [(one["label"], one["reference"], one["seeds"]) for one in before["systems"]] == [
        ("x", "y", [1, 2]), ("y", "", [1])
    ]  # fmt: skip
    assert before["dialogues"]["systems"] == ["x", "y"]
    shutil.move(folder, tmp_path / "elsewhere")
    assert analysed(tmp_path / "elsewhere") == before


def test_the_table_of_turns_has_one_row_a_turn_and_one_column_a_system(folder):
    out = analyse_errors(folder)
    with (out / "turns.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["x"] for row in table] == list("abbbaabb")
    assert [row["y"] for row in table] == list("bbbbbaba")
    assert [row["systems_right"] for row in table] == ["1", "2", "2", "2", "1", "", "0", "1"]
    assert [row["gold"] for row in table] == ["a", "b", "b", "b", "a", "", "a", "b"]
    assert table[2]["text"] == "now three words"
    assert table[2]["emotion_shift"] == "shifted"
    assert table[3]["text"] == ""


def test_cells_and_headings_are_no_formulas_and_a_system_may_be_called_like_a_column(tmp_path, write_error_suite):
    turns = [("test", "d", "=Ann", "=1+1", "a"), ("test", "d", "Bo", "- no", "b")]
    systems = {"=x": {1: [(1, 0), (0, 1)]}, "text": {1: [(1, 0), (1, 0)]}}
    out = analyse_errors(write_error_suite(tmp_path / "s", turns, systems))
    with (out / "turns.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert (table[0]["text"], table[0]["speaker"], table[0]["'=x"]) == ("'=1+1", "'=Ann", "a")
    assert [row["system text"] for row in table] == ["a", "a"]


def test_values_have_a_column_for_each_dimension_and_no_right_turns(tmp_path, write_error_suite):
    turns = [("test", f"d{i // 3}", "Ann", None, None) for i in range(9)]
    rng = np.random.default_rng(0)
    systems = {name: {1: rng.normal(size=(9, 2))} for name in "xy"}
    folder = write_error_suite(tmp_path / "s", turns, systems, ("v", "w"), gold_values=rng.normal(size=(9, 2)))
    found = analysed(folder)
    assert found["right"] is None
    assert found["gains"] == {}
    assert found["dimensions"] == ["v", "w"]
    assert set(found["systems"][0]["items"]["v"]) >= {"n", "ccc", "mae"}
    with (folder / "errors" / "turns.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert float(row["x v"]) == pytest.approx(systems["x"][1][0, 0])
    assert "systems_right" not in row


def labels(folder, asked) -> list[str]:
    return [one.label for one in chosen_pair(read_suite_turns(read_contents(folder), "test"), asked)]


def test_the_pair_is_the_best_system_and_its_reference_or_what_is_named(tmp_path, write_error_suite):
    turns = [("test", "d", "Ann", "x", "a")] * 4
    rights = {"r": 3, "best": 4, "a,b": 2, "z · text": 1}
    systems = {name: {1: [(1, 0)] * n + [(0, 1)] * (4 - n)} for name, n in rights.items()}
    folder = write_error_suite(tmp_path / "s", turns, systems, reference="r")
    assert labels(folder, None) == ["best", "r"]
    assert labels(folder, "a,b") == ["a,b", "r"]
    assert labels(folder, "a,b, best") == ["a,b", "best"]
    assert labels(folder, "r,z/text") == ["r", "z · text"]
    assert labels(folder, "r") == ["r", "best"]
    with pytest.raises(ConfigError, match="unknown system 'bets'; did you mean 'best'"):
        labels(folder, "r,bets")
    with pytest.raises(ConfigError, match="expected two different systems"):
        labels(folder, "r,r")
    without = write_error_suite(tmp_path / "t", turns, systems)
    assert labels(without, None) == ["best", "r"]


def test_one_system_has_no_pair_and_an_unfinished_one_is_named(folder, tmp_path, write_error_suite):
    next((folder / "runs" / "y").glob("*/predictions.parquet")).unlink()
    found = analysed(folder)
    assert found["missing"] == ["y/seed1"]
    assert found["dialogues"] is None
    with pytest.raises(ConfigError, match="y has no finished run; continue the suite"):
        analysed(folder, systems="x,y")


def test_the_page_of_the_suite_is_never_replaced(folder):
    with pytest.raises(ConfigError, match="is the folder of a suite"):
        analyse_errors(folder, out=folder)
    with pytest.raises(ConfigError, match="at least 1"):
        analyse_errors(folder, top=0)
