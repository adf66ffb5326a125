"""The table of the campaign of faults, rendered by ``benchmarks.tables``."""

from pathlib import Path

from benchmarks.faults.core.record import render
from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer


@register_renderer("faults")
def faults(folder: Path) -> str:
    """How many tries survived each fault, what was not survived, and how it was measured."""
    result = read_result(folder, "faults.json")
    size = "This is the quick campaign, which has a part of the cases." if result["is_quick"] else "The whole campaign."
    lines = [render(result["rows"], name="fault"), "", _verdict(result["n_failures"]), ""]
    lines += [
        f"- `--only {found['family']} --case {found['case']}`: {_plain(found['what'])}" for found in result["failures"]
    ]
    lines += [""] * bool(result["failures"])
    machine, versions = result["machine"], result["versions"]
    lines.append(
        f"{size} The tries took {result['minutes_of_all_cases']:.0f} minutes, counted one after another. "
        f"Seed {result['seed']}; revision {result['revision']}; {machine['cpu_count']} cores; "
        f"torch {versions['torch']}, soundfile {versions['soundfile']}, av {versions['av']}. `{result['command']}`"
    )
    return "\n".join(lines)


def _verdict(n_failures: int) -> str:
    if not n_failures:
        return "Every try survived."
    return f"{n_failures} {'try' if n_failures == 1 else 'tries'} did not survive:"


def _plain(text: str) -> str:
    """Return a text without characters that mean something in markdown."""
    return text.replace("|", "/").replace("<", "(").replace(">", ")").replace("`", "'")
