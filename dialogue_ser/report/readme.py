"""Tables of a markdown page rendered from result files, so that no number is typed by hand.

A page holds ``<!-- table:NAME -->`` … ``<!-- /table -->``; what stands between is replaced by what the renderer NAME
makes of the results folder. Without a renderer of that name, ``NAME.json`` (a list of rows, or ``{"rows": [...]}``)
is shown as it is.
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

_MARKED = re.compile(r"(<!-- table:(?P<name>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /table -->)", re.DOTALL)
_OPENING = re.compile(r"<!-- table:")


def register_renderer(name: str) -> Callable[[Renderer], Renderer]:
    """Decorator: the function makes the table NAME, as markdown, from the results folder.

    Raises:
        DialogueSerError: the name is taken.
    """

    def register(renderer: Renderer) -> Renderer:
        if name in RENDERERS:
            raise DialogueSerError(f"table renderer {name!r} exists already; choose another name")
        RENDERERS[name] = renderer
        return renderer

    return register


def read_rows(path: Path) -> Sequence[Row]:
    """Rows of a results file: a JSON list of objects, or an object with ``rows``.

    Raises:
        MissingDataError: no such file.
        DialogueSerError: a file that holds no rows.
    """
    if not path.is_file():
        raise MissingDataError(f"{path}: does not exist; run the benchmark that writes it")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DialogueSerError(f"{path}: no valid JSON ({error}); run the benchmark again") from error
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DialogueSerError(f'{path}: expected a list of objects, or {{"rows": [...]}}; run the benchmark again')
    return rows


def render(path_markdown: Path, results_dir: Path, check: bool = False) -> tuple[str, ...]:
    """Render every marked table of a page.

    Args:
        path_markdown: page, rewritten in one piece if a table changed.
        results_dir: e.g. benchmarks/results.
        check: write nothing, only say what would change.

    Returns:
        names of the tables that changed (or, with ``check``, are stale).

    Raises:
        MissingDataError: no such page, or results that are not there.
        DialogueSerError: a marker that is never closed, unknown tables, damaged results: all of them.
    """
    if not path_markdown.is_file():
        raise MissingDataError(f"{path_markdown}: does not exist; give the page that holds the table markers")
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

    new, n_tables = _MARKED.subn(replaced, text)
    if n_tables != len(_OPENING.findall(text)) or any(_OPENING.search(m["body"]) for m in _MARKED.finditer(text)):
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
