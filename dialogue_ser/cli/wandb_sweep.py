"""What is different when an agent of Weights & Biases starts ``dialogue-ser train``: the run directory and the mode.

The agent names the sweep and the run in WANDB_SWEEP_ID and WANDB_RUN_ID. Every run of a sweep has the same command, so
the command alone cannot say where each run lies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialogue_ser.training.config.run_config import RunConfig

#: What WANDB_MODE may say → mode of the run. W&B knows two of them under older names.
MODES = {"disabled": "disabled", "offline": "offline", "dryrun": "offline", "online": "online", "run": "online"}
_MODE_FLAG = "--wandb.mode"


def folder_in_sweep(environment: Mapping[str, str]) -> Path | None:
    """Return the run directory of a run in a sweep: runs/SWEEP/RUN_ID; None outside of a sweep.

    >>> folder_in_sweep({"WANDB_SWEEP_ID": "k3f9a2xq", "WANDB_RUN_ID": "p8d2"}).as_posix()
    'runs/k3f9a2xq/p8d2'
    """
    names = [_name(environment.get(name, "")) for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID")]
    return Path("runs", *names) if all(names) else None


def with_mode_of_sweep(config: RunConfig, tokens: Sequence[str], environment: Mapping[str, str]) -> RunConfig:
    """Return the configuration of a run in a sweep, with the W&B mode that WANDB_MODE says.

    A flag wins. Without a flag and without WANDB_MODE, the mode is that of the settings, and online if they say
    ``disabled``: an agent waits for the values of its runs.

    Args:
        config: the configuration.
        tokens: the tokens of the command.
        environment: environment variables.
    """
    if any(token.partition("=")[0] == _MODE_FLAG for token in tokens):
        return config
    usual = "online" if config.wandb.mode == "disabled" else config.wandb.mode
    mode: Any = MODES.get(environment.get("WANDB_MODE", "").strip().lower(), usual)
    return replace(config, wandb=replace(config.wandb, mode=mode))


def _name(text: str) -> str:
    """Return an id as the name of a folder: an id that is a path gives a folder inside of runs."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text).strip(".")
