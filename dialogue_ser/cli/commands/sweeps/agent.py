"""``dialogue-ser sweep agent FILE``: the commands that run a sweep on a server of Weights & Biases."""

import os
import shlex
import sys
from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.search_space.macros import ENVIRONMENT
from dialogue_ser.search_space.sweep_file import Sweep, read_sweep

#: Variables of this shell that change what a trial does. The machine of the agent needs them, too.
_KEPT = ("DIALOGUE_SER_DATA", "WANDB_BASE_URL", "WANDB_DIR")


def sweep_agent(file: str, count: int | None = None) -> int:
    """Print the two commands that run a sweep on a server of Weights & Biases, and the variables that they need.

    The server chooses the trials. Nothing is sent or started by this command.

    Args:
        file: the sweep file, in YAML (docs/sweeps.md). It is checked first.
        count: number of trials of one agent. If left out, an agent goes on until the sweep ends.

    Returns:
        exit status 0.

    Raises:
        ConfigError: the file has mistakes; the error lists all of them.
    """
    if count is not None and count < 1:
        raise ConfigError(f"sweep agent: --count {count}: expected a whole number of at least 1")
    sweep = read_sweep(Path(file))
    from dialogue_ser.cli.commands.sweeps.trial_command import command_problems  # slow to import

    problems = command_problems(sweep)
    if problems:
        raise ConfigError(*problems)
    for warning in sweep.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    for line in (*_exports(sweep), *_commands(sweep, file, count)):
        print(visible(line))
    return 0


def _exports(sweep: Sweep) -> list[str]:
    lines = [
        "# On every machine: log in once with 'wandb login', or set the key of your account.",
        "# export WANDB_API_KEY=YOUR_KEY",
        "export WANDB_MODE=online",
    ]
    named = [name for item in sweep.command or () for name in ENVIRONMENT.findall(str(item))]
    for name in dict.fromkeys((*_KEPT, *named)):
        value = os.environ.get(name)
        if value is not None:
            lines.append(f"export {name}={shlex.quote(value)}")
        elif name in named:
            lines.append(f"# export {name}=VALUE (command uses it, and it is not set here)")
    return lines


def _commands(sweep: Sweep, file: str, count: int | None) -> list[str]:
    agent = ["wandb", "agent", "--forward-signals", *(["--count", str(count)] if count else [])]
    words = [os.path.relpath(item) for item in _files(sweep)]
    here = [f"# Begin in this folder, because command names {', '.join(words)}: cd {shlex.quote(str(Path.cwd()))}"]
    create = ["wandb", "sweep", *([] if sweep.project else ["--project", "dialogue-ser"]), file]
    place = "/".join((sweep.entity or "ENTITY", sweep.project or "dialogue-ser", "SWEEP_ID"))
    return [
        *(here if words else []),
        "# Once. It prints the path of the sweep, ENTITY/PROJECT/SWEEP_ID.",
        shlex.join(create),
        "# Once for each trial at the same time, here or on other machines, with this path:",
        f"{shlex.join(agent)} {place}",
    ]


def _files(sweep: Sweep) -> list[str]:
    """Return the files of the command that lie in this folder, or below it."""
    items = [part for item in sweep.command or () for part in (str(item), str(item).partition("=")[2]) if part]
    return [part for part in items if not Path(part).is_absolute() and Path(part).is_file()]
