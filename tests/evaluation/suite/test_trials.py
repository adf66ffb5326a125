from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.plan import Plan, read_plan

TUNED = """\
base: base.yaml
seeds: [1, 2]
protocol: legacy-test-peek
tuning:
  trials: 3
  seed: 5
  parameters:
    optimizer.learning_rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
    model.options.hidden_dim: {values: [4, 5, 6, 7]}
    model.options.dropout: {min: 0.0, max: 0.5}
systems:
  erc:
    model.name: emotion-rnn
    parameters: {model.options.listeners: {values: [hold, update]}}
  blind: bigru
  mine: {model.name: "my_small_model:Mine"}
"""


@pytest.fixture
def folder(tmp_path, write_suite, monkeypatch) -> Path:
    write_suite(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def plan_of(folder: Path, text: str = TUNED, **settings) -> Plan:
    (folder / "suite.yaml").write_text(text)
    return read_plan(folder / "suite.yaml", trust_code=True, **settings)


def test_every_system_gets_the_same_number_of_trials_and_the_first_one_has_its_settings(folder):
    plan = plan_of(folder)
    for row in plan.rows:
        assert [trial.number for trial in row.trials] == [1, 2, 3]
        assert row.trials[0].drawn == {}
        assert row.trials[0].config.model == row.config.model
        assert {trial.config.seed for trial in row.trials} == {5}
        assert {trial.config.training.protocol for trial in row.trials} == {"dev"}  # no trial scores test
    rates = [[trial.drawn["optimizer.learning_rate"] for trial in row.trials[1:]] for row in plan.rows]
    assert rates[0] == rates[1] == rates[2]
    assert rates[0][0] != rates[0][1]
    trial = plan.rows[0].trials[1]
    assert trial.config.optimizer.learning_rate == trial.drawn["optimizer.learning_rate"]
    assert trial.config.model.options["listeners"] == trial.drawn["model.options.listeners"]


def test_an_option_that_a_model_does_not_have_is_left_out_for_it(folder):
    erc, blind, mine = plan_of(folder).rows
    assert set(mine.trials[1].drawn) == {"optimizer.learning_rate"}
    assert set(blind.trials[1].drawn) == {*mine.trials[1].drawn, "model.options.hidden_dim", "model.options.dropout"}
    assert set(erc.trials[1].drawn) == {*blind.trials[1].drawn, "model.options.listeners"}


def test_the_trials_run_round_by_round_and_equal_ones_once(folder):
    cells = plan_of(folder).trials(folder / "out")
    assert [cell.key for cell in cells][:4] == ["erc/trial1", "blind/trial1", "mine/trial1", "erc/trial2"]
    few = TUNED.replace("trials: 3", "trials: 9").replace(
        "{distribution: log_uniform_values, min: 0.001, max: 0.1}", "{values: [0.02]}"
    )
    assert [cell.key for cell in plan_of(folder, few).trials(folder / "out") if cell.row.system == "mine"] == [
        "mine/trial1"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("protocol: legacy-test-peek", "protocol: crossval", "suite.yaml:4: tuning: dev chooses the settings"),
        ("model.options.dropout:", "model.options.drpout:", "suite.yaml:10: tuning.parameters.model.options.drpout"),
        ("{values: [4, 5, 6, 7]}", "{values: [-4, -5]}", "trial 2 draws"),
        ("optimizer.learning_rate: {d", "optimizer.rate: {d", "suite.yaml:8: tuning.parameters.optimizer.rate"),
        ("model.options.listeners:", "model.options.lsteners:", "listeners"),
        ("max: 0.5}", "max: 0.5}\n    seed: {values: [1, 2]}", "parameters.seed: must be equal in all trials"),
        ("max: 0.5}", "max: 0.5}\n    data.labels: {values: [a]}", "parameters.data.labels: must be equal in all"),
        ("max: 0.5}", "max: 0.5}\n    model.name: {values: ['os:system']}", "is code"),
    ],
)
def test_a_trial_that_cannot_run_is_named_before_anything_is_trained(folder, old, new, message):
    assert old in TUNED
    (folder / "suite.yaml").write_text(TUNED.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_plan(folder / "suite.yaml", trust_code={"my_small_model:Mine"})
    assert message in str(caught.value)
