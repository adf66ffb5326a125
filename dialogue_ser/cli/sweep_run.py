"""A run that an agent of a W&B sweep has started: where it goes, and in which mode W&B gets it.

The agent names the sweep in WANDB_SWEEP_ID and the run in WANDB_RUN_ID.
"""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from dialogue_ser.cli.run_arguments import TrainRequest
from dialogue_ser.errors import ConfigError, shown_value

_MODES: Mapping[str, Literal["disabled", "offline", "online"]] = {
    "": "online", "online": "online", "run": "online", "shared": "online", "offline": "offline", "dryrun": "offline",
    "disabled": "disabled",
}  # fmt: skip
_MODE_FLAG = re.compile(r"--wandb(\.mode)?(=.*)?")


def in_sweep(request: TrainRequest, tokens: Sequence[str], environment: Mapping[str, str]) -> TrainRequest:
    """Complete a request by what W&B's variables say. Flags win. Outside a sweep, nothing changes.

    Without ``--out`` the run goes to ``runs/SWEEP/RUN_ID``. If it has begun there, it is continued. Without
    ``--wandb.mode`` the mode is that of WANDB_MODE, else online.

    Args:
        request: the request that the flags describe.
        tokens: the tokens of the command.
        environment: environment variables.

    Raises:
        ConfigError: a variable has a wrong value.
    """
    sweep, run = environment.get("WANDB_SWEEP_ID", ""), environment.get("WANDB_RUN_ID", "")
    if not sweep:
        return request
    mode = environment.get("WANDB_MODE", "")
    problems = [
        f"{name}: found {shown_value(value)}, expected the id of a {what}, e.g. k3f9a2xq"
        for name, value, what in (("WANDB_SWEEP_ID", sweep, "sweep"), ("WANDB_RUN_ID", run, "run"))
        if value and not re.fullmatch(r"[\w-][\w.-]*", value)
    ]
    if mode not in _MODES:
        problems.append(f"WANDB_MODE: found {shown_value(mode)}, expected online, offline or disabled")
    if problems:
        raise ConfigError(*problems)
    if request.config.wandb.mode == "disabled" and not any(map(_MODE_FLAG.fullmatch, tokens)):
        wandb = replace(request.config.wandb, mode=_MODES[mode])
        request = replace(request, config=replace(request.config, wandb=wandb))
    if request.out is None and run and not request.smoke:
        out = Path("runs") / sweep / run
        request = replace(request, out=out, resume=(out / "config.yaml").is_file())
    return request


def end_by_signal(number: int, environment: Mapping[str, str]) -> None:
    """Under an agent, end this process by the signal that stopped its run. Elsewhere, do nothing.

    An agent counts every exit status but 0 as a failure, and it ends itself after a few failures. A run that it has
    stopped is none.

    Args:
        number: number of the signal.
        environment: environment variables.
    """
    if environment.get("WANDB_SWEEP_ID"):
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
