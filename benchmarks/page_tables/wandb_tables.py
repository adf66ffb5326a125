"""The table of W&B's faults, rendered by ``benchmarks.tables``."""

from pathlib import Path

from benchmarks.results_files import read_result
from benchmarks.wandb_faults.__main__ import FILE, render
from dialogue_ser.report.readme import register_renderer


@register_renderer("wandb-faults")
def wandb_faults(folder: Path) -> str:
    """What a run loses and how long it waits when W&B fails."""
    return render(read_result(folder, FILE))
