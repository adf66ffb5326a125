"""What a trial of a sweep file trains: the command line of the file, read as ``dialogue-ser`` reads it."""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.macros import arguments_file, arguments_json, command_of, needs_arguments_file
from dialogue_ser.search_space.sweep import Sweep

if TYPE_CHECKING:
    from dialogue_ser.evaluation.sweep.plan import Settings

_EXAMPLE = "command: [dialogue-ser, train, --preset, quickstart, '${args}']"
_TRAINS = ("train", "crossval")
#: Flags that decide where and how a run is made. In a sweep, the sweep decides this.
_NOT_IN_SWEEPS = ("--out", "--resume", "--allow_mismatch", "--smoke", "--print_config", "--help")
_PYTHON = re.compile(r"python[\d.]*(\.exe)?")


class TrialSettings:
    """Maps the values of a trial to its settings.

    Args:
        sweep: the sweep.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._of_text = cache(self._settings)

    def __call__(self, values: Mapping[str, Any]) -> "Settings":
        """Return what a trial trains.

        Raises:
            ConfigError: the command does not call ``dialogue-ser train`` or ``crossval``, or a setting is wrong.
        """
        return self._of_text(json.dumps(values))

    def _settings(self, text: str) -> "Settings":
        from dialogue_ser.evaluation.sweep.plan import Settings

        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "WANDB_DIR": folder, "WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": "run"}
            values = json.loads(text)
            if needs_arguments_file(self._sweep):
                file = arguments_file(environment)
                file.parent.mkdir(parents=True)
                file.write_text(arguments_json(values), encoding="utf-8")
            command, tokens = own_command(command_of(self._sweep, values, environment), self._sweep.at("command"))
            request = parse_train(tokens, command, environment={})
        if command == "train" and request.config.crossval.estimator != "none":
            raise ConfigError(f"crossval.estimator {request.config.crossval.estimator} needs the command crossval")
        return Settings(config=request.config, is_crossval=command == "crossval")


def own_command(line: Sequence[str], where: str) -> tuple[str, list[str]]:
    """Return the command (``train`` or ``crossval``) of a whole command line, and the tokens after it.

    Args:
        line: the command line, e.g. ``/usr/bin/env dialogue-ser train --seed=2``.
        where: place of the command, for messages.

    Raises:
        ConfigError: it is another program, or it has a flag that a sweep decides.

    >>> own_command(["python", "-m", "dialogue_ser", "train", "--seed=2"], "sweep.yaml")
    ('train', ['--seed=2'])
    """
    rest = list(line)
    while rest and Path(rest[0]).name in ("env", "env.exe"):
        rest.pop(0)
    name = Path(rest[0]).name if rest else ""
    if _PYTHON.fullmatch(name):
        rest.pop(0)
        while rest and rest[0] in ("-P", "-u", "-I", "-m"):
            rest.pop(0)
        name = Path(rest[0]).name if rest else ""
    is_own = name in ("dialogue-ser", "dialogue-ser.exe", "dialogue_ser", "dialogue_ser.cli.main")
    if not is_own or len(rest) < 2 or rest[1] not in _TRAINS:
        raise ConfigError(
            f"{where}: found {' '.join(line[:4])!r}, expected a command that calls dialogue-ser train or dialogue-ser "
            f"crossval; write {_EXAMPLE}. Weights & Biases' own agent runs other programs"
        )
    tokens = rest[2:]
    flags = {token: token.partition("=")[0].replace("-", "_").replace("__", "--", 1) for token in tokens}
    wrong = [token for token, flag in flags.items() if flag in _NOT_IN_SWEEPS]
    if wrong:
        raise ConfigError(f"{where}: {', '.join(wrong)}: a sweep decides this for every trial; leave it out of command")
    return rest[1], tokens
