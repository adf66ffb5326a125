"""Tables of recorded suites: ``suite-NAME``, and ``suite-NAME-classes`` with F1 of each class."""

from functools import partial
from pathlib import Path

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections import suite_tables
from dialogue_ser.report.sections.tables import render_markdown

RESULTS = Path(__file__).parents[1] / "results"


def suite(folder: Path, name: str) -> str:
    """The rows of a recorded suite, what they mean, and the command."""
    results = read_result(folder, f"{name}.json")
    lines = [*suite_tables.legend(results), f"torch {results['versions']['torch']}. `{results['command']}`"]
    return f"{render_markdown(suite_tables.main_rows(results))}\n\n{' '.join(lines)}"


def classes(folder: Path, name: str) -> str:
    """F1 of each class in a recorded suite."""
    return render_markdown(suite_tables.class_rows_of(read_result(folder, f"{name}.json")))


@register_renderer("killed-suite")
def killed(folder: Path) -> str:
    """What happened to a suite that was killed three times."""
    if not (folder / "killed-suite.json").is_file():
        return "Not measured yet: `python -m benchmarks.killed_suite --record`."
    result = read_result(folder, "killed-suite.json")
    kills = result["kills"]
    shares = ", ".join(str(kill["epochs_done"]) for kill in kills)
    slowest = max(kill["seconds_until_they_ended"] for kill in kills)
    return (
        f"A suite of {result['runs']} runs was killed {len(kills)} times (SIGKILL, after {shares} epochs). It was "
        "continued each time. Its table is the same as that of a suite that nothing stopped. The processes of a killed "
        f"command were gone after at most {slowest:.1f} s. `{result['command']}`"
    )


for _file in sorted(RESULTS.glob("suite-*.json")):
    register_renderer(_file.stem)(partial(suite, name=_file.stem))
    register_renderer(f"{_file.stem}-classes")(partial(classes, name=_file.stem))
