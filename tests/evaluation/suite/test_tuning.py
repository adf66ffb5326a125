import json
from pathlib import Path

import pytest

from dialogue_ser.evaluation.selection import run_scores
from dialogue_ser.evaluation.suite.plan import Plan, read_plan
from dialogue_ser.evaluation.suite.run_suite import run_suite
from dialogue_ser.evaluation.suite.tuning import tuned_plan
from dialogue_ser.report.suite_page import write_suite_report

SUITE = """\
name: tuned
base: base.yaml
seeds: [1, 2]
tuning:
  trials: 3
  parameters: {optimizer.learning_rate: {distribution: log_uniform_values, min: 0.0001, max: 0.1}}
systems:
  blind: {model: {name: bigru, options: {hidden_dim: 6}}}
  twice: {model: {name: bigru, options: {hidden_dim: 6}}, training.epochs: 3}
reference: blind
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, write_suite) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    run_suite(read_plan(write_suite(folder, SUITE)), folder / "out")
    return folder


def plan_of(tuned: Path) -> Plan:
    return read_plan(tuned / "suite.yaml")


def results_of(folder: Path) -> dict:
    return json.loads((folder / "out" / "results.json").read_text())


def test_the_runs_have_the_settings_of_the_best_trial_on_dev(tuned):
    trials = plan_of(tuned).trials(tuned / "out")
    for row in results_of(tuned)["rows"]:
        cells = {cell.trial: cell for cell in trials if cell.row.system == row["system"]}
        scores = {number: run_scores(cell.folder, "dev")["weighted_f1"] for number, cell in cells.items()}
        found = row["tuned"]
        assert found["dev"] == [{"trial": number, "weighted_f1": score} for number, score in scores.items()]
        assert found["chosen"] == min(number for number, score in scores.items() if score == max(scores.values()))
        chosen = cells[found["chosen"]]
        assert (tuned / "out" / row["folders"][0]) == chosen.folder  # the run with the seed of the trials is the trial
        assert found["settings"] == next(t.drawn for t in chosen.row.trials if t.number == found["chosen"])
        assert row["dev"]["weighted_f1"]["values"][0] == scores[found["chosen"]]


def test_the_table_says_how_the_systems_were_tuned(tuned):
    assert any("3, with seed 1" in note for note in results_of(tuned)["notes"])
    page = write_suite_report(tuned / "out").read_text()
    assert "Tuning on dev" in page
    assert "## Tuning" in (tuned / "out" / "table.md").read_text()


def test_a_trial_that_fails_is_left_out_and_the_others_choose(tuned):
    plan = plan_of(tuned)
    trials = plan.trials(tuned / "out")
    failed = {"blind/trial1": "it fell over", **{f"twice/trial{number}": "too" for number in (1, 2, 3)}}
    (row,) = tuned_plan(plan, trials, failed).rows
    assert (row.system, row.tuned["chosen"] in (2, 3), row.tuned["trials"]) == ("blind", True, 3)
    assert [one["trial"] for one in row.tuned["dev"]] == [2, 3]


def test_a_tuned_suite_is_continued_without_repeating_a_run(tuned):
    folders = sorted((tuned / "out" / "runs").glob("*/*/predictions.parquet"))
    before = {path: path.stat().st_mtime_ns for path in folders}
    assert len(before) == 2 * (3 + 1)  # three trials, one of them with seed 1, and seed 2 of the chosen one
    results = results_of(tuned)
    assert dict(run_suite(plan_of(tuned), tuned / "out").results) == results
    assert {path: path.stat().st_mtime_ns for path in before} == before
