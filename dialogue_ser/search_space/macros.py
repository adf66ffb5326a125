"""The command line of a trial: the macros of ``command``, expanded as the agent of Weights & Biases does.

Source: the agent of the package wandb. It hands the items to the system without a shell.
"""

import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.sweep import Sweep

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
#: The macros that a sweep file can use.
MACROS = (
    "env", "interpreter", "program", "args", "args_no_equals", "args_no_hyphens", "args_append_hydra",
    "args_override_hydra", "args_no_boolean_flags", "args_json", "args_json_file",
)  # fmt: skip
#: ``${envvar:NAME}``, which is replaced inside of an item.
ENVIRONMENT = re.compile(r"\$\{envvar\:([A-Z0-9_]*)\}")


def command_of(sweep: Sweep, values: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """Return the command line of a trial.

    A macro is replaced if the whole item is ``${NAME}``. A name that does not exist is replaced by nothing. Only
    ``${envvar:NAME}`` is replaced inside of an item, by NAME itself if there is no such variable.

    Args:
        sweep: the sweep; without ``command`` it has the usual one.
        values: name → value of the trial's parameters; a nested parameter is a dict.
        env: the variables of the trial's environment.

    Raises:
        ConfigError: the command needs ``program``, and the sweep has none.
    """
    with_variables = [_with_variables(str(item), env) for item in sweep.command or DEFAULT_COMMAND]
    if "${program}" in with_variables and not sweep.program:
        raise ConfigError(f"{sweep.path}: command has ${{program}}, and there is no key program; add one")
    replaced: dict[str, list[str]] = {
        **_arguments(values),
        "interpreter": ["python"],
        "program": [sweep.program or ""],
        "args_json_file": [str(arguments_file(env))],
        "env": [] if platform.system() == "Windows" else ["/usr/bin/env"],
    }
    found: list[str] = []
    for item in with_variables:
        is_macro = item.startswith("${") and item.endswith("}")
        found += replaced.get(item[2:-1], []) if is_macro else [item]
    return found


def needs_arguments_file(sweep: Sweep) -> bool:
    """Return whether the command names a file with the arguments. It must then exist before the command runs."""
    return "${args_json_file}" in (sweep.command or ())


def arguments_file(env: Mapping[str, str]) -> Path:
    """Return where the file with a trial's arguments lies, from the variables of the trial's environment.

    Args:
        env: WANDB_DIR, WANDB_SWEEP_ID and WANDB_RUN_ID count.
    """
    sweep_id, run_id = env.get("WANDB_SWEEP_ID"), env.get("WANDB_RUN_ID")
    return Path(env.get("WANDB_DIR", ""), "wandb", f"sweep-{sweep_id}", f"config-{run_id}.json")


def arguments_json(values: Mapping[str, Any]) -> str:
    """Return the content of this file: the values of a trial as JSON."""
    return json.dumps(dict(values))


def _with_variables(item: str, env: Mapping[str, str]) -> str:
    return ENVIRONMENT.sub(lambda match: env.get(match.group(1), match.group(1)), item)


def _arguments(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return macro → its items. Values are written as Python writes them, e.g. True, None, 1e-05, ['a']."""
    plain = [f"{name}={value}" for name, value in values.items()]
    switches = [
        ([f"--{name}"] if value else []) if isinstance(value, bool) else [f"--{name}={value}"]
        for name, value in values.items()
    ]
    return {
        "args": [f"--{item}" for item in plain],
        "args_no_equals": [item for name, value in values.items() for item in (f"--{name}", str(value))],
        "args_no_hyphens": plain,
        "args_append_hydra": [f"+{item}" for item in plain],
        "args_override_hydra": [f"++{item}" for item in plain],
        "args_no_boolean_flags": [item for items in switches for item in items],
        "args_json": [arguments_json(values)],
    }
