"""Write the tables of a markdown page from result files, so that nobody types a number by hand.

A page contains the markers ``<!-- table:NAME -->`` and ``<!-- /table -->``. The text between them is replaced by the
table that the renderer NAME makes from the results folder. Without a renderer of that name, the rows of ``NAME.json``
(a list, or ``{"rows": [...]}``) become the table.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError, MissingDataError, unknown_name
from dialogue_ser.report.sections.tables import Row, render_markdown

Renderer = Callable[[Path], str]

RENDERERS: dict[str, Renderer] = {}

_TABLE = re.compile(r"(<!-- table:(?P<name>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /table -->)", re.DOTALL)
_OPENING_MARKER = re.compile(r"<!-- table:")


def register_renderer(name: str) -> Callable[[Renderer], Renderer]:
    """Return a decorator that registers a function as the renderer of the table NAME.

    The function gets the results folder and returns the table as markdown.

    Raises:
        DialogueSerError: a renderer with this name exists already.
    """

    def register(renderer: Renderer) -> Renderer:
        if name in RENDERERS:
            raise DialogueSerError(f"table renderer {name!r} exists already; choose another name")
        RENDERERS[name] = renderer
        return renderer

    return register


def read_rows(path: Path) -> Sequence[Row]:
    """Return the rows of a results file: a JSON list of objects, or an object with the key ``rows``.

    Raises:
        MissingDataError: the file does not exist.
        DialogueSerError: the file contains no rows.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: does not exist; run the benchmark that writes it")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DialogueSerError(f"{path}: is not valid JSON ({error}); run the benchmark again") from error
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DialogueSerError(f'{path}: expected a list of objects, or {{"rows": [...]}}; run the benchmark again')
    return rows


def render(path_markdown: Path, results_dir: Path, check: bool = False) -> tuple[str, ...]:
    """Write every table of a page that has markers.

    Args:
        path_markdown: the page. It is written only if a table has changed.
        results_dir: folder of the results, e.g. benchmarks/results.
        check: True = write nothing and only return what would change.

    Returns:
        the names of the tables that have changed, or would change.

    Raises:
        MissingDataError: the page or a results file does not exist.
        DialogueSerError: a marker is never closed, a table is unknown, or results are damaged; the error lists all
            problems.
    """
    if not path_markdown.is_file():
        raise MissingDataError(f"{path_markdown}: does not exist; give the page with the table markers")
    text = path_markdown.read_text(encoding="utf-8")
    problems: list[str] = []
    changed: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        try:
            body = _table(name, results_dir) + "\n"
        except DialogueSerError as error:
            problems.extend(f"{path_markdown}: table {name}: {problem}" for problem in error.problems)
            return match[0]
        if body != match["body"]:
            changed.append(name)
        return match[1] + body + match[4]

    new, n_tables = _TABLE.subn(replaced, text)
    if n_tables != len(_OPENING_MARKER.findall(text)) or any(
        _OPENING_MARKER.search(m["body"]) for m in _TABLE.finditer(text)
    ):
        problems.append(
            f"{path_markdown}: a <!-- table:NAME --> is never closed; end each with <!-- /table --> on its own line"
        )
    if problems:
        raise DialogueSerError(*problems)
    if changed and not check:
        write_atomically(path_markdown, new)
    return tuple(changed)


def _table(name: str, results_dir: Path) -> str:
    if name in RENDERERS:
        return RENDERERS[name](results_dir).strip("\n")
    path = results_dir / f"{name}.json"
    if not path.is_file():
        known = {*RENDERERS, *(file.stem for file in results_dir.glob("*.json"))}
        raise MissingDataError(f"{unknown_name('table', name, known)}; or run the benchmark that writes {path}")
    return render_markdown(read_rows(path))
