import pytest

from dialogue_ser.cli.python_values import without_python_values
from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.training.config.run_config import RunConfig

PARAMETERS = {
    "training": {"epochs": 100_000, "patience": 0, "batch_size": 4},
    "optimizer": {"learning_rate": 1e-05, "l2": {"text": 0.5}},
    "features.text.options": {"own": 'it\'s "odd"', "more": [None, True, 1e-07, "a b"]},
    "model.options.dropout": 0.25,
    "data.path": None,
    "save_attention": False,
    "metrics": [],
    "name": 'two words, it\'s "quoted"',
    "wandb.tags": ["it's", 'a "b"'],
}
READ = {
    "training": lambda c: {"epochs": c.training.epochs, "patience": c.training.patience, "batch_size": 4},
    "optimizer": lambda c: {"learning_rate": c.optimizer.learning_rate, "l2": dict(c.optimizer.l2)},
    "features.text.options": lambda c: dict(c.features["text"].options),
    "model.options.dropout": lambda c: c.model.options["dropout"],
    "data.path": lambda c: c.data.path,
    "save_attention": lambda c: c.save_attention,
    "metrics": lambda c: list(c.metrics),
    "name": lambda c: c.name,
    "wandb.tags": lambda c: list(c.wandb.tags),
}


@pytest.mark.parametrize("macro", ["args", "args_no_equals"])
def test_what_w_and_b_makes_of_parameters_is_read_as_the_same_values(tiny_file, macro):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    command = {"args": {name: {"value": value} for name, value in PARAMETERS.items()}}
    tokens = create_sweep_command_args(command)[macro]
    config = parse_train(["--config", str(tiny_file), "--trust_code", *tokens]).config
    for name, value in PARAMETERS.items():
        assert READ[name](config) == value, name


def test_switches_without_a_value_are_read_too(tiny_file):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    command = {"args": {"model.options.causal": {"value": True}, "training.compile": {"value": False}}}
    tokens = create_sweep_command_args(command)["args_no_boolean_flags"]
    assert tokens == ["--model.options.causal"]
    assert parse_train(["--config", str(tiny_file), "--trust_code", *tokens]).config.model.options["causal"] is True


@pytest.mark.parametrize("text", ["[" * 60_000, "{'a': " * 2000, "[1, 2", "{a: 1}", "[a, b]", "['a'", "x=[1]"])
def test_what_is_no_python_value_stays_as_it_is(text):
    assert without_python_values([f"--wandb.tags={text}", "--seed", text], RunConfig) == [
        f"--wandb.tags={text}", "--seed", text,
    ]  # fmt: skip
