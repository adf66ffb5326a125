import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb.wandb_agent as real

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.macros import (
    MACROS,
    arguments_file,
    arguments_json,
    command_of,
    needs_arguments_file,
)
from dialogue_ser.search_space.sweep import Sweep

VALUES = {
    "lr": 1e-05,
    "flag": True,
    "off": False,
    "none": None,
    "optimizer": {"lr": 0.001, "nadam": {"beta": 0.9}},
    "dims": [1, "a b"],
    "text": 'it\'s "so" $HOME',
    "a.b-c": 3,
    "zero": 0,
    "empty": "",
}
EVERY_MACRO = [f"${{{name}}}" for name in MACROS]
ENVIRONMENT = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "MY_DATA": "/data/my corpus", "EMPTY": ""}


@pytest.fixture
def agent_command(monkeypatch, tmp_path: Path) -> Callable[[list, dict], list[str]]:
    """Function that gives the command line which wandb's own agent would start."""
    started: list[list[str]] = []

    class Recorded:
        def __init__(self, command=None, **_):
            started.append(command)

    monkeypatch.setattr(real, "AgentProcess", Recorded)
    for name, value in {**ENVIRONMENT, "WANDB_DIR": str(tmp_path), "WANDB_SWEEP_PARAM_PATH": ""}.items():
        monkeypatch.setenv(name, value)

    def command(items: list, values: dict) -> list[str]:
        agent = real.Agent(api=None, queue=None, sweep_id="s1")
        agent._sweep_command = list(items)
        args = {name: {"value": value} for name, value in values.items()}
        agent._command_run({"run_id": "r1", "program": "train.py", "args": args})
        return started[-1]

    return command


def sweep_with(command: list | None, program: str | None = "train.py") -> Sweep:
    return Sweep(
        path=Path("sweep.yaml"),
        fingerprint="",
        method="random",
        program=program,
        command=None if command is None else tuple(command),
    )


@pytest.mark.parametrize(
    "items",
    [
        *([macro] for macro in EVERY_MACRO),
        EVERY_MACRO,
        [],
        ["${env}", "dialogue-ser", "train", "--preset", "quickstart", "${args}"],
        ["${unknown}", "x", "${args", "args}", "a${args}", "${env} ${args}", "$args"],
        [1, 2.5, True, "two words", "${interpreter}"],
        ["--path=${envvar:MY_DATA}/x", "${envvar:MY_DATA}", "${envvar:ABSENT}", "${envvar:EMPTY}", "${envvar:lower}"],
        ["${envvar:MY_DATA}-${envvar:ABSENT}", "${envvar:MY_DATA}${args}"],
    ],
    ids=str,
)
def test_commands_are_those_that_the_agent_of_wandb_starts(items, agent_command, tmp_path):
    env = {**ENVIRONMENT, "WANDB_DIR": str(tmp_path)}
    ours = command_of(sweep_with(items or None), VALUES, env)
    assert ours == agent_command(items, VALUES)


def test_the_file_with_the_arguments_is_where_the_agent_writes_it(agent_command, tmp_path):
    items = ["run", "${args_json_file}"]
    path = arguments_file({**ENVIRONMENT, "WANDB_DIR": str(tmp_path)})
    assert agent_command(items, VALUES)[1] == str(path)
    assert path.read_text() == arguments_json(VALUES)
    assert json.loads(arguments_json(VALUES)) == VALUES
    assert needs_arguments_file(sweep_with(items))
    assert not needs_arguments_file(sweep_with(["${args_json}"]))
    assert not needs_arguments_file(sweep_with(None))


def test_values_are_written_as_python_writes_them():
    written = command_of(sweep_with(["${args}"]), VALUES, {})
    assert written[:5] == [
        "--lr=1e-05",
        "--flag=True",
        "--off=False",
        "--none=None",
        "--optimizer={'lr': 0.001, 'nadam': {'beta': 0.9}}",
    ]
    assert command_of(sweep_with(["${args_no_boolean_flags}"]), {"a": True, "b": False, "c": 1}, {}) == ["--a", "--c=1"]


def test_a_command_that_needs_a_program_says_so():
    with pytest.raises(ConfigError, match=r"sweep.yaml: command has \$\{program\}"):
        command_of(sweep_with(None, program=None), {}, {})
