"""The page of a sweep, and the tables of the terminal."""

import json

import pytest

from dialogue_ser.errors import MissingDataError
from dialogue_ser.report.sections import sweep_tables as tables
from dialogue_ser.report.sweep_page import write_sweep_report


def trial(number, score, state="finished", **values):
    return {
        "number": number, "state": state, "score": score, "scores": [score], "values": values, "seconds": 3.0,
        "best_epoch": 2, "stopped_epoch": 2 if state == "stopped" else None, "reason": None, "folders": ["a"],
        "epochs": 5, "trained_epochs": 5,
    }  # fmt: skip


@pytest.fixture
def results() -> dict:
    trials = [trial(n, n / 20, lr=10.0 ** -(n % 5), kind="<b>big</b>" if n % 2 else [1, n % 3]) for n in range(9)]
    trials[3] |= {"state": "stopped", "stopped_epoch": 2}
    trials[4] |= {"state": "failed", "score": None, "reason": "<script>alert()</script>"}
    scored = [one for one in trials if one["score"] is not None]
    return {
        "kind": "sweep", "name": "tune", "id": "abc", "description": "<i>d</i>", "method": "random", "seeds": 1,
        "metric": "dev/weighted_f1", "goal": "maximize", "counts": {"finished": 7, "stopped": 1, "failed": 1},
        "parameters": ["lr", "kind"], "varying": ["lr", "kind"], "trials": trials, "best": 8,
        "history": [{"number": one["number"], "state": one["state"], "score": one["score"], "best": one["score"]}
                    for one in scored],
        "importances": {"lr": 0.75, "kind": 0.25}, "saved_epochs": {"saved": 3, "planned": 40},
    }  # fmt: skip


def write(folder, results) -> str:
    (folder / "results.json").write_text(json.dumps(results))
    return write_sweep_report(folder).read_text()


@pytest.mark.usefixtures("blank_pictures")
def test_the_page_has_everything_and_no_markup_of_users(tmp_path, results):
    page = write(tmp_path, results)
    for text in ("Best trials", "Importance of the parameters", "Parallel coordinates", "Failed trials", "0.4000"):
        assert text in page
    assert "<b>big" not in page
    assert "<i>d" not in page
    assert "<script" not in page
    assert "early_terminate saved 3 of 40 epochs (8%)" in page


def test_the_figures_are_drawn_light_and_dark(tmp_path, results):
    page = write(tmp_path, results)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "history.png", "importances.png", "parallel.png"
    }  # fmt: skip
    assert page.count("prefers-color-scheme: dark)") >= 3


@pytest.mark.usefixtures("blank_pictures")
def test_a_sweep_without_a_score_has_a_page_too(tmp_path, results):
    empty = {**results, "trials": [], "history": [], "importances": {}, "counts": {}, "best": None}
    assert "0 trials: none has begun." in write(tmp_path, empty)
    with pytest.raises(MissingDataError, match="no results of a sweep"):
        write_sweep_report(tmp_path / "none")


def test_the_best_trial_is_first_in_the_direction_of_the_goal(results):
    assert [row["trial"] for row in tables.best_rows(results, 2)] == ["8", "7"]
    assert [row["trial"] for row in tables.best_rows({**results, "goal": "minimize"}, 2)] == ["0", "1"]
    states = {row["trial"]: row["state"] for row in tables.best_rows(results)}
    assert states["3"] == "stopped early after epoch 2"


def test_coordinates_in_the_terminal_show_where_good_values_lie(results):
    only = [trial(n, n / 20, lr=float(n)) for n in range(16)]
    (row,) = tables.coordinate_rows({**results, "trials": only, "varying": ["lr"]})
    assert (row["from"], row["to"], row["best"]) == ("0", "15", "15")
    assert row["mean score"][0] == "▁"
    assert row["mean score"][-1] == "█"
    (flipped,) = tables.coordinate_rows({**results, "trials": only, "varying": ["lr"], "goal": "minimize"})
    assert flipped["mean score"] == row["mean score"][::-1]


def test_an_axis_over_many_powers_of_ten_is_logarithmic():
    axis = tables.Axis.of([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 2e-4, 3e-4, 0.5])
    assert axis.place(1e-2) == pytest.approx(0.5)
    assert tables.Axis.of([0.5, 1, 2, 3, 4, 5, 6, 7]).place(3.75) == pytest.approx(0.5)
    assert list(tables.Axis.of([True, None, "a"]).ticks.values()) == ["a", "null", "true"]
    assert tables.Axis.of([]) is None
