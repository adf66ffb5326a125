import sys

import pytest

from dialogue_ser.cli.commands.sweeps.trial_command import command_problems, trial_request, trial_tokens
from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.sweep_file import read_sweep


@pytest.mark.parametrize(
    "start",
    [
        "'${env}', dialogue-ser",
        "dialogue-ser",
        "/opt/venv/bin/dialogue-ser",
        "'${env}', '${interpreter}', -m, dialogue_ser.cli.main",
        f"'{sys.executable}', -u, -m, dialogue_ser.cli.main",
        "srun, --ntasks=1, dialogue-ser",
    ],
)
def test_the_training_is_found_behind_whatever_starts_it(write_sweep, start):
    sweep = read_sweep(write_sweep(("'${env}', dialogue-ser", start)))
    values = {"optimizer.learning_rate": 1e-05}
    tokens = ["--preset", "quickstart", "--optimizer.learning_rate=1e-05"]
    assert trial_tokens(sweep, values, {}) == ("train", tokens)


def test_the_program_of_the_file_may_be_dialogue_ser(write_sweep):
    sweep = read_sweep(write_sweep(("dialogue-ser", "'${program}'"), ("method:", "program: dialogue-ser\nmethod:")))
    assert command_problems(sweep) == []
    assert trial_tokens(sweep, {}, {}) == ("train", ["--preset", "quickstart"])


def test_another_program_is_refused(write_sweep):
    sweep = read_sweep(write_sweep(("dialogue-ser", "train.py")))
    with pytest.raises(ConfigError, match="does not start dialogue-ser"):
        trial_tokens(sweep, {}, {})


VALUES = {
    "optimizer.learning_rate": 1e-05,
    "optimizer.weight_decay": 0,
    "training.batch_size": 16,
    "training": {"epochs": 3, "patience": 7},
    "save_attention": False,
    "model.options.causal": True,
    "model.options": {"hidden_dim": 32, "projection": {"text": 16, "audio": 8}},
    "wandb.tags": ["two words", "it's"],
    "wandb.group": 'a "b" $HOME',
    "metrics": ["uar", "macro_f1"],
}


@pytest.mark.parametrize("macro", ["${args}", "${args_no_equals}"])
def test_whatever_an_agent_writes_arrives_with_its_type(write_sweep, macro):
    sweep = read_sweep(write_sweep(("${args}", macro)))
    command, request = trial_request(sweep, VALUES, {})
    config = request.config
    assert command == "train"
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (1e-05, 0)
    assert (config.training.batch_size, config.training.epochs, config.training.patience) == (16, 3, 7)
    assert config.save_attention is False
    assert config.model.options["causal"] is True
    assert config.model.options["hidden_dim"] == 32
    assert config.model.options["projection"] == {"text": 16, "audio": 8}
    assert config.wandb.tags == ("two words", "it's")
    assert config.wandb.group == 'a "b" $HOME'
    assert config.metrics == ("uar", "macro_f1")


def test_null_is_null(write_sweep):
    assert trial_request(read_sweep(write_sweep()), {"wandb.group": None}, {})[1].config.wandb.group is None


def test_a_variable_of_the_environment_is_a_part_of_the_command(write_sweep):
    sweep = read_sweep(write_sweep(("quickstart,", "quickstart, '--wandb.group=${envvar:MY_GROUP}',")))
    assert trial_request(sweep, {}, {"MY_GROUP": "night run"})[1].config.wandb.group == "night run"
