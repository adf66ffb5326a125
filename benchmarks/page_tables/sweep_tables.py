"""What was measured about sweeps: ``killed-sweep``."""

from pathlib import Path

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown

_FILE = "killed-sweep.json"


@register_renderer("killed-sweep")
def killed(folder: Path) -> str:
    """What happened to a sweep that was killed five times, and how fast the engines are."""
    if not (folder / _FILE).is_file():
        return "Not measured yet: `python -m benchmarks.sweeps.killed_sweep --record`."
    result = read_result(folder, _FILE)
    kills = result["kills"]
    ended = ", ".join(str(kill["trials_ended"]) for kill in kills)
    slowest = max(kill["seconds_until_they_ended"] for kill in kills)
    text = (
        f"A sweep of {result['trials']} trials was killed {len(kills)} times (SIGKILL for a trial and then for the "
        f"command, after {ended} trials). It was continued each time. Every trial is there once, with the settings and "
        "the score that it has in a sweep that nothing stopped, and the best trial is the same. The processes of a "
        f"killed command were gone after at most {slowest:.1f} s."
    )
    grid = result.get("grid")
    if grid:
        rows = [
            {"": way["way"], "seconds": f"{way['seconds']:.0f}", "trials per minute": f"{way['trials_per_minute']:.1f}"}
            for way in grid["ways"]
        ]
        text += (
            f"\n\nOne grid of {grid['points']} points in several ways; the trials and their scores are the same each "
            f"time:\n\n{render_markdown(rows)}"
        )
    note = f"{result['note']} " if result.get("note") else ""
    return f"{text}\n\n{note}`{result['command']}`"
