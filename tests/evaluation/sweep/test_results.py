"""What a sweep has found: best trials, importances, history, saved epochs, the settings of the best."""

import pytest

from dialogue_ser.errors import MissingDataError
from dialogue_ser.evaluation.sweep.results import best_config, find_sweep, sweep_results
from dialogue_ser.evaluation.sweep.run_sweep import run_sweep
from dialogue_ser.runs.run_files import to_json
from tests.evaluation.sweep.conftest import GRID

STOPPING = (
    GRID.replace("[0.1, 0.2, 0.3]", "[0.3, 0.2, 0.1]") + "early_terminate: {type: hyperband, min_iter: 1, eta: 2}\n"
)


@pytest.fixture
def done(make_plan, stand_ins, tmp_path):
    stand_ins.crashes = {0.1}
    plan = make_plan(STOPPING)
    run_sweep(plan, tmp_path / "out")
    return plan.sweep, tmp_path / "out"


def test_the_results_follow_from_the_trials(done):
    results = sweep_results(*done)
    assert results["counts"] == {"finished": 2, "stopped": 2, "failed": 2}
    assert results["best"] == 1
    assert results["saved_epochs"] == {"saved": 5, "planned": 20}
    assert [row["best"] for row in results["history"]] == pytest.approx([0.301, 0.302, 0.302, 0.302])
    assert next(iter(results["importances"])) == "optimizer.learning_rate"
    assert sum(results["importances"].values()) == pytest.approx(1.0)
    assert "too hot" in results["trials"][4]["reason"]
    assert results["trials"][0]["values"] == {"optimizer.learning_rate": 0.3, "seed": 1}
    to_json(results)


def test_the_folder_of_a_sweep_is_as_good_as_its_file(done, tmp_path):
    sweep, folder = find_sweep(done[1], None)
    assert sweep_results(sweep, folder)["best"] == 1
    with pytest.raises(MissingDataError, match="is not the folder of a sweep"):
        find_sweep(tmp_path, None)


def test_the_settings_of_the_best_trial_are_those_of_its_run(done):
    (done[1] / sweep_results(*done)["trials"][1]["folders"][0] / "config.yaml").write_text(
        "seed: 2\noptimizer: {learning_rate: 0.3}\nwandb: {group: of-the-sweep, mode: offline}\n"
    )
    config, run = best_config(sweep_results(*done), done[1])
    assert (config["seed"], config["optimizer"]["learning_rate"]) == (2, 0.3)
    assert (config["wandb"]["group"], config["wandb"]["mode"]) == (None, "disabled")
    assert run.name.startswith("0001-")


def test_a_sweep_that_was_not_begun_has_no_results(make_plan, tmp_path):
    with pytest.raises(MissingDataError, match="no such sweep"):
        sweep_results(make_plan(GRID).sweep, tmp_path / "none")
