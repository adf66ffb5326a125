"""``dialogue-ser sweep check FILE``: every mistake of a sweep file, before anything is trained."""

from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.search_space.grid import size
from dialogue_ser.search_space.shapes import leaves
from dialogue_ser.search_space.sweep_file import Sweep, read_sweep


def sweep_check(file: str, trust_code: bool = False) -> int:
    """Check a sweep file of Weights & Biases: its form, and its settings against the library.

    Some trials are drawn, and the command of the file is read with their values as train reads it. No data is read.

    Args:
        file: the sweep file, in YAML (docs/sweeps.md).
        trust_code: allow code that the file names, e.g. your own model. It is run, so allow only code that you trust.

    Returns:
        exit status 0, which means that the sweep can run.

    Raises:
        ConfigError: there are mistakes; the error lists all of them.
    """
    sweep = read_sweep(Path(file))
    from dialogue_ser.cli.commands.sweeps.trial_checks import check_trials  # slow to import

    problems, warnings = check_trials(sweep, trust_code)
    if problems:
        raise ConfigError(*problems)
    for warning in (*sweep.warnings, *warnings):
        print(visible(f"warning: {warning}"))
    print(visible(f"ok: {file}: {_summary(sweep)}"))
    return 0


def _summary(sweep: Sweep) -> str:
    """Return a sweep in one line: method, parameters, number of trials, metric and early stopping."""
    n = len(leaves(sweep.parameters))
    parts = [f"method {sweep.method}", f"{n} parameter{'s' if n != 1 else ''}"]
    if sweep.method == "grid":
        parts.append(f"{size(sweep.parameters):,} points")
    if sweep.run_cap is not None:
        parts.append(f"at most {sweep.run_cap:,} trials")
    if sweep.metric is not None:
        parts.append(f"{sweep.metric.goal} {sweep.metric.name}")
    if sweep.early_terminate is not None:
        shown = ", ".join(map(str, sweep.early_terminate.bands[:4]))
        more = " …" if len(sweep.early_terminate.bands) > 4 else ""
        parts.append(f"trials with more than {shown}{more} epochs are compared and may stop")
    return ", ".join(parts)
