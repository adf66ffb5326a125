from pathlib import Path

import pytest

from dialogue_ser.cli.commands.sweeps import trial_checks
from dialogue_ser.cli.commands.sweeps.check import sweep_check
from dialogue_ser.cli.commands.sweeps.trial_checks import trials_to_check
from dialogue_ser.cli.main import main
from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.sweep_file import read_sweep

#: A sweep whose check is quick.
ONE_PARAMETER = """\
method: grid
metric: {name: dev/weighted_f1, goal: maximize}
command: [dialogue-ser, train, --preset, quickstart, '${args}']
parameters:
  optimizer.learning_rate: {values: [0.001]}
"""


@pytest.fixture(autouse=True)
def _no_drawn_trials(request, monkeypatch):
    """Only the extremes and the lists are checked, which takes less time."""
    if "drawn" not in request.node.name:
        monkeypatch.setattr(trial_checks, "_TRIALS", 0)


def problems(path, **options) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        sweep_check(str(path), **options)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_a_good_sweep_whose_drawn_trials_are_checked_is_described_in_one_line(write_sweep, capsys):
    path = write_sweep()
    assert main(["sweep", "check", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"ok: {path}: method random, 3 parameters, at most 8 trials, maximize dev/weighted_f1, trials with more than "
        "3, 9, 27, 81 … epochs are compared and may stop\n"
    )


def test_every_mistake_in_the_settings_is_found_with_its_line(write_sweep):
    path = write_sweep(
        ("dev/weighted_f1", "dev/weighted_f"),
        ("learning_rate", "learning_rte"),
        ("min: 16", "min: 0"),
        ("[8, 16]", "[8, -1, many]"),
    )
    found = problems(path)
    assert [problem.split(":")[0] for problem in found] == ["2", "7", "8", "9", "9"]
    expected = [
        "did you mean 'dev/weighted_f1'",
        "did you mean --optimizer.learning_rate",
        "found 0",
        "found -1",
        "many",
    ]
    assert [text for text in expected if not any(text in problem for problem in found)] == []


def test_values_are_checked_at_their_extremes_and_in_lists(write_sweep):
    sweep = read_sweep(write_sweep(("[8, 16]", "[8, 16, 24]")))
    trials = list(trials_to_check(sweep))
    assert {trial["training", "batch_size"] for trial in trials} == {8, 16, 24}
    rates = [trial["optimizer.learning_rate",] for trial in trials]
    assert (min(rates), max(rates)) == pytest.approx((2e-4, 3e-3), rel=1e-9)
    own = ("optimizer.learning_rate: {values: [0.001]}", "training.epochs: {distribution: q_normal, mu: 2}")
    unlimited = write_sweep(own, ("grid", "random"), text=ONE_PARAMETER)
    assert "found -1, expected at least" in problems(unlimited)[0]


def test_values_that_do_not_fit_together_are_named_at_the_command(write_sweep):
    names = "model.name: {values: [bigru]}\n  model.options.attention: {values: [simple]}"
    found = problems(write_sweep(("optimizer.learning_rate: {values: [0.001]}", names), text=ONE_PARAMETER))
    assert len(found) == 1
    assert found[0].startswith("3: command: ")
    assert "attention" in found[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dialogue-ser, train", "dialogue-ser, trian", "5: command.2: after dialogue-ser: unknown command 'trian'"),
        ("dialogue-ser, train, ", "dialogue-ser, ", "unknown command '--preset'"),
        ("dialogue-ser, train", "python, train.py", "5: command: does not start dialogue-ser; write command: ["),
        ("dialogue-ser, train", "dialogue-ser train", "5: command.1: found 'dialogue-ser train': there is no shell"),
        (", '${args}'", "", "5: command: has no ${args}, so all trials are the same"),
        ("'${args}'", "'${arg}'", "command.5: unknown macro 'arg'; did you mean 'args'"),
        ("'${args}'", "'--x ${args}'", "a macro is replaced only if it is an item of its own"),
        ("'${args}'", "'${args_json}'", "5: command.5: train cannot read ${args_json}; write ${args}"),
        ("'${args}'", "'${args_no_hyphens}'", "train cannot read ${args_no_hyphens}"),
        ("'${args}'", "'${args}', '${args_no_equals}'", "hands the values over twice"),
        ("quickstart,", "quickstart, --out, runs/x,", "--out: all trials would write to one folder"),
        ("quickstart,", "quickstart, --smoke,", "--smoke: a trial would train at reduced size only"),
        ("quickstart,", "quickstart, --print_config,", "--print_config: a trial would train nothing"),
        ("quickstart,", "quickstart, --training.batch-size=4,", "--training.batch-size is a parameter, too"),
        ("quickstart,", "quickstrt,", "unknown preset 'quickstrt'; did you mean 'quickstart'"),
        ("--preset, quickstart,", "--config, absent.yaml,", "absent.yaml: cannot be read"),
        ("quickstart,", "quickstart, --seed, x,", "5: command: --seed: found 'x', expected a whole number"),
        ("training: {parameters: {batch_size: {values: [8, 16]}}}", "out: {value: a}", "parameters.out: all tr"),
        ("command: ['${env}', dialogue-ser, train, --preset, quickstart, '${args}']", "program: a.py", "5: program: "),
    ],
)  # fmt: skip
def test_a_command_that_trains_nothing_useful_is_refused(write_sweep, old, new, message):
    path = write_sweep((old, new))
    assert message in "\n".join(problems(path))


def test_a_sweep_of_another_program_is_told_what_is_missing(write_sweep):
    text = (
        "program: train.py\nmethod: bayes\nmetric: {name: validation_loss}\nparameters: {lr: {min: 0.0001, max: 0.1}}\n"
    )
    program, metric = problems(write_sweep(text=text))
    assert program.startswith(
        "1: program: the file has no command that starts a training of this library; write command:"
    )
    assert metric.startswith("3: metric.name: found validation_loss, expected a metric of dev")


def test_a_macro_that_loses_false_is_refused_if_a_parameter_can_be_false(write_sweep):
    lost = "model.options.causal: {values: [true, false]}"
    path = write_sweep(("'${args}'", "'${args_no_boolean_flags}'"), ("training: {", f"{lost}\n  training: {{"))
    assert problems(path) == ["5: command.5: leaves out a value False (of model.options.causal); write ${args}"]


def test_a_cross_validation_can_be_a_trial_and_an_estimator_needs_it(write_sweep):
    estimator = ("'${args}'", "--crossval.estimator, logistic, '${args}'")
    path = write_sweep(estimator, text=ONE_PARAMETER)
    assert problems(path) == ["3: command: fits an estimator, which train does not do; write crossval instead of train"]
    assert sweep_check(str(write_sweep(estimator, ("ser, train", "ser, crossval"), text=ONE_PARAMETER))) == 0


def test_names_of_readers_encoders_options_and_transforms_are_checked_without_data(write_sweep):
    names = (
        "data.reader: {values: [mled]}\n  features.text.encoder: {values: [minlm]}\n"
        "  features.audio.options.feature_sett: {values: [a]}\n  features.text.transforms: {values: [[standardize]]}"
    )
    found = problems(write_sweep(("optimizer.learning_rate: {values: [0.001]}", names), text=ONE_PARAMETER))
    assert [problem.split(": ")[0] for problem in found] == ["5", "6", "7", "8"]
    expected = ["did you mean 'meld'", "did you mean 'minilm'", "'feature_set'", "did you mean 'standardise'"]
    assert [text for text, problem in zip(expected, found, strict=True) if text not in problem] == []


def test_code_that_the_file_names_needs_trust(write_sweep):
    own = ("optimizer.learning_rate: {values: [0.001]}", "model.name: {values: ['os:system']}")
    found = problems(write_sweep(own, text=ONE_PARAMETER))
    assert found[0].startswith("5: parameters.model.name: ")
    assert "a file may not run code" in found[0]
    assert "--trust_code" in found[0]


def test_a_metric_that_the_command_adds_is_known(write_sweep):
    other = ("dev/weighted_f1", "dev/macro_precision")
    assert "add --metrics and '[macro_precision]' to command" in problems(write_sweep(other, text=ONE_PARAMETER))[0]
    adds = ("quickstart,", "quickstart, '--metrics=[macro_precision]',")
    assert sweep_check(str(write_sweep(other, adds, text=ONE_PARAMETER))) == 0


def test_what_is_probably_not_meant_gives_a_warning(write_sweep, capsys):
    old = ("{values: [0.001]}", "{distribution: log_uniform, min: -7, max: -6}")
    rule = ("parameters:", "early_terminate: {type: hyperband, min_iter: 30}\nparameters:")
    path = write_sweep(old, rule, ("grid", "random"), (", goal: maximize", ""), text=ONE_PARAMETER)
    assert sweep_check(str(path)) == 0
    *warnings, last = capsys.readouterr().out.splitlines()
    assert last.startswith("ok: ")
    assert [line.removeprefix(f"warning: {path}:").split(" ")[0] for line in warnings] == ["6:", "2:", "4:"]
    assert "write goal: maximize" in warnings[1]
    assert "at most 30 epochs and the first comparison needs more than 30" in warnings[2]


SWEEPS = sorted((Path(__file__).parents[4] / "benchmarks" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_sweeps_of_the_repository_have_no_mistakes(path, monkeypatch):
    monkeypatch.chdir(path.parents[2])
    assert sweep_check(str(path)) == 0
