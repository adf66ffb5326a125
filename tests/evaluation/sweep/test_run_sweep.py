"""Sweeps are run, stopped, continued and refused, with stand-ins for their trainings."""

import shutil
from dataclasses import replace

import pytest
from optuna.study import load_study
from optuna.trial import TrialState

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.sweep.run_sweep import run_sweep
from dialogue_ser.evaluation.sweep.storage import Place, open_storage
from tests.evaluation.sweep.conftest import EPOCHS, GRID, RANDOM

STRICT = "early_terminate: {type: hyperband, min_iter: 1, eta: 2}\n"


def rates(found) -> list[float]:
    return [trial.values["optimizer.learning_rate"] for trial in found.trials]


def test_a_grid_has_the_points_in_the_order_of_wandb_and_never_repeats_one(make_plan, stand_ins, tmp_path):
    first = run_sweep(make_plan(GRID, trials=4), tmp_path / "out")
    assert [trial.values for trial in first.trials] == [
        {"optimizer.learning_rate": rate, "seed": seed} for rate in (0.1, 0.2) for seed in (1, 2)
    ]
    whole = run_sweep(make_plan(GRID), tmp_path / "out")
    assert rates(whole) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    run_sweep(make_plan(GRID), tmp_path / "out")
    assert len(stand_ins.calls) == 6


def test_a_trial_is_a_run_directory_with_the_number_of_the_trial_and_the_name_of_the_sweep(
    make_plan, stand_ins, tmp_path
):
    found = run_sweep(make_plan(GRID, trials=1), tmp_path / "out")
    (folder,) = found.trials[0].info["folders"]
    assert (tmp_path / "out" / folder / "metrics.jsonl").is_file()
    assert folder.startswith("0000-")


def test_the_same_file_draws_the_same_trials_and_another_file_draws_others(make_plan, stand_ins, tmp_path):
    one = rates(run_sweep(make_plan(RANDOM, trials=3), tmp_path / "one"))
    assert one == rates(run_sweep(make_plan(RANDOM, trials=3), tmp_path / "two"))
    assert one != rates(run_sweep(make_plan(RANDOM.replace("0.9", "0.8"), trials=3), tmp_path / "three"))


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (("0.001", "0.002"), {}, "parameters.optimizer.learning_rate.min: 0.001, now 0.002"),
        (("method: random", "method: bayes"), {}, 'method: "random", now "bayes"'),
        (("x", "x"), {"seeds": 2}, "--seeds: 1, now 2"),
    ],
)
def test_a_changed_sweep_is_refused_with_what_has_changed(make_plan, stand_ins, tmp_path, change, options, said):
    run_sweep(make_plan(RANDOM, trials=1), tmp_path / "out")
    with pytest.raises(ConfigError) as error:
        run_sweep(make_plan(RANDOM.replace(*change), trials=2, **options), tmp_path / "out")
    assert said in str(error.value)
    assert len(stand_ins.calls) == 1


def test_settings_below_the_parameters_may_not_change_either(make_plan, stand_ins, tmp_path):
    plan = make_plan(RANDOM, trials=1)
    run_sweep(plan, tmp_path / "out")

    def more_epochs(values):
        settings = plan.settings_of(values)
        training = replace(settings.config.training, epochs=9)
        return replace(settings, config=replace(settings.config, training=training))

    with pytest.raises(ConfigError, match=r"training.epochs: 5, now 9"):
        run_sweep(replace(plan, settings_of=more_epochs), tmp_path / "out")


def test_comments_and_the_description_may_change(make_plan, stand_ins, tmp_path):
    run_sweep(make_plan(RANDOM, trials=1), tmp_path / "out")
    found = run_sweep(make_plan(f"# other words\ndescription: more\n{RANDOM}", trials=2), tmp_path / "out")
    assert len(found.trials) == 2


def test_a_moved_folder_is_continued(make_plan, stand_ins, tmp_path):
    run_sweep(make_plan(RANDOM, trials=2), tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    found = run_sweep(make_plan(RANDOM, trials=3), tmp_path / "elsewhere")
    assert len(found.trials) == len(stand_ins.calls) == 3


def test_one_crashed_trial_stops_nobody_and_its_reason_is_kept(make_plan, stand_ins, tmp_path):
    stand_ins.crashes = {0.2}
    found = run_sweep(make_plan(GRID), tmp_path / "out")
    assert [trial.state for trial in found.trials] == ["finished"] * 2 + ["failed"] * 2 + ["finished"] * 2
    assert set(found.failed) == {2, 3}
    assert "too hot: 0.2" in found.trials[2].info["reason"]


def test_failed_trials_are_done_again_on_demand_with_their_number_and_settings(make_plan, stand_ins, tmp_path):
    stand_ins.crashes = {0.1}
    run_sweep(make_plan(GRID, trials=3), tmp_path / "out")
    stand_ins.crashes = set()
    run_sweep(make_plan(GRID, trials=3), tmp_path / "out")
    assert len(stand_ins.calls) == 3
    found = run_sweep(make_plan(GRID), tmp_path / "out", retry_failed=True)
    assert [trial.state for trial in found.trials] == ["finished"] * 6
    assert rates(found) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert [name[:4] for name, _, _ in stand_ins.calls] == [
        "0000",
        "0001",
        "0002",
        "0000",
        "0001",
        "0003",
        "0004",
        "0005",
    ]


def test_a_trial_whose_process_ended_goes_on_from_its_last_epoch(make_plan, stand_ins, tmp_path):
    stand_ins.dies = {0.2}
    with pytest.raises(SystemExit):
        run_sweep(make_plan(GRID), tmp_path / "out")
    found = run_sweep(make_plan(GRID), tmp_path / "out")
    assert [trial.state for trial in found.trials] == ["finished"] * 6
    assert len(stand_ins.epochs) == len(set(stand_ins.epochs)) == 6 * EPOCHS


def test_a_worker_that_was_killed_loses_its_trial_to_the_next_one(make_plan, stand_ins, tmp_path, monkeypatch):
    """The killed worker could say nothing: its trial still runs, as the storage sees it."""
    stand_ins.dies = {0.2}
    with monkeypatch.context() as patch:
        patch.setattr("dialogue_ser.evaluation.sweep.dispatch.Trials.release_all", lambda self: None)
        with pytest.raises(SystemExit):
            run_sweep(make_plan(GRID), tmp_path / "out")
    study = load_study(study_name="sweep", storage=open_storage(Place.of(None, tmp_path / "out")))
    assert study.trials[-1].state == TrialState.RUNNING
    found = run_sweep(make_plan(GRID), tmp_path / "out")
    assert [trial.state for trial in found.trials] == ["finished"] * 6
    assert len(stand_ins.epochs) == len(set(stand_ins.epochs))


def test_the_score_is_the_mean_over_seeds(make_plan, stand_ins, tmp_path):
    text = GRID.replace("  seed: {values: [1, 2]}\n", "")
    found = run_sweep(make_plan(text, seeds=3, trials=1), tmp_path / "out")
    seed = stand_ins.calls[0][2]
    assert [call[2] for call in stand_ins.calls] == [seed, seed + 1, seed + 2]
    assert found.trials[0].score == pytest.approx(0.1 + (seed + 1) / 1000)
    assert [name[-6:] for name in found.trials[0].info["folders"][1:]] == ["-seed2", "-seed3"]


def test_no_trial_begins_once_the_target_is_reached(make_plan, stand_ins, tmp_path):
    text = GRID.replace("goal: maximize", "goal: maximize, target: 0.2")
    found = run_sweep(make_plan(text), tmp_path / "out")
    assert len(found.trials) == 3
    assert len(run_sweep(make_plan(text), tmp_path / "out").trials) == 3


def test_the_cap_of_the_file_holds_over_all_calls(make_plan, stand_ins, tmp_path):
    plan = make_plan(RANDOM + "run_cap: 2\n", trials=5)
    assert len(run_sweep(plan, tmp_path / "out").trials) == 2
    assert len(run_sweep(plan, tmp_path / "out").trials) == 2
    assert any("the file allows 2 trials" in warning for warning in plan.warnings())


def test_a_bad_trial_is_stopped_early_and_counts_with_its_best_score_so_far(make_plan, stand_ins, tmp_path):
    text = GRID.replace("[0.1, 0.2, 0.3]", "[0.3, 0.2, 0.1]") + STRICT
    found = run_sweep(make_plan(text), tmp_path / "out")
    assert [trial.state for trial in found.trials][2:] == ["stopped"] * 4
    stopped = found.trials[2]
    assert stopped.info["stopped_epoch"] == 2
    assert stopped.score == pytest.approx(0.2 * 2 / EPOCHS + 0.001)
    assert len(stopped.curve) == 2
    study = load_study(study_name="sweep", storage=open_storage(Place.of(None, tmp_path / "out")))
    assert study.trials[2].state == TrialState.PRUNED


def test_bayes_moves_towards_the_better_values(make_plan, stand_ins, tmp_path):
    text = RANDOM.replace("method: random", "method: bayes").replace(
        "log_uniform_values, min: 0.001", "uniform, min: 0.1"
    )
    found = run_sweep(make_plan(text, trials=16, sampler="tpe"), tmp_path / "out")
    assert sum(rates(found)[12:]) / 4 > 0.6


def test_an_endless_sweep_in_which_everything_fails_ends(make_plan, stand_ins, tmp_path, monkeypatch):
    monkeypatch.setattr("dialogue_ser.evaluation.sweep.dispatch.MOST_FAILURES", 3)
    stand_ins.crashes = set(rates(run_sweep(make_plan(RANDOM, trials=9), tmp_path / "first")))
    found = run_sweep(make_plan(RANDOM), tmp_path / "out")
    assert [trial.state for trial in found.trials] == ["failed"] * 3


def test_the_folder_of_something_else_is_refused(make_plan, stand_ins, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "suite.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a run or a suite"):
        run_sweep(make_plan(GRID), tmp_path / "out")


def test_a_database_keeps_the_trials_of_two_folders(make_plan, stand_ins, tmp_path):
    storage = f"sqlite:///{tmp_path}/trials.db"
    run_sweep(make_plan(GRID, trials=2), tmp_path / "here", storage=storage)
    found = run_sweep(make_plan(GRID), tmp_path / "there", storage=storage)
    assert rates(found) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert len(stand_ins.calls) == 6
    assert not (tmp_path / "here" / "study.journal").exists()


def test_a_folder_belongs_to_one_sweep_in_one_storage(make_plan, stand_ins, tmp_path):
    run_sweep(make_plan(GRID, trials=1), tmp_path / "out")
    with pytest.raises(ConfigError, match="holds the sweep 'sweep', not 'other'"):
        run_sweep(make_plan(GRID, name="other"), tmp_path / "out")
    with pytest.raises(ConfigError, match="those of another storage"):
        run_sweep(make_plan(GRID), tmp_path / "out", storage=str(tmp_path / "other.journal"))
