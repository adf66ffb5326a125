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


for _file in sorted(RESULTS.glob("suite-*.json")):
    register_renderer(_file.stem)(partial(suite, name=_file.stem))
    register_renderer(f"{_file.stem}-classes")(partial(classes, name=_file.stem))
