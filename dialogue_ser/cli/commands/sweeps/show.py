"""``dialogue-ser sweep show FILE``: the best trials of a sweep, its course, and what its parameters change."""

from pathlib import Path

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible


def sweep_show(file: str, top: int = 10, storage: str | None = None, out: str | None = None) -> int:
    """Show the best trials of a sweep, its course, and what its parameters change. Write the same as a page.

    This can be done while the sweep runs.

    Args:
        file: the sweep file, or the folder of the sweep.
        top: number of trials that are shown. The page has more.
        storage: the storage that 'sweep run' was given.
        out: folder of the sweep. If left out: runs/ and the name of the sweep.

    Returns:
        exit status 0.

    Raises:
        MissingDataError: the sweep was not begun.
    """
    from dialogue_ser.cli.tables import show
    from dialogue_ser.evaluation.sweep.results import find_sweep, sweep_results
    from dialogue_ser.report.sections import sweep_tables as tables
    from dialogue_ser.report.sections.tables import render_rich
    from dialogue_ser.report.sweep_page import write_sweep_report
    from dialogue_ser.runs.run_files import to_json

    if top < 1:
        raise ConfigError(f"--top {top}: expected at least 1")
    sweep, folder = find_sweep(Path(file), out)
    results = sweep_results(sweep, folder, storage)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "results.json", to_json(results))
    page = write_sweep_report(folder)
    for title, rows in (
        (f"{results['name']}: best trials", tables.best_rows(results, top)),
        ("importance of the parameters", tables.importance_rows(results)),
        ("parallel coordinates", tables.coordinate_rows(results)),
        ("history", tables.history_rows(results)),
        ("failed trials", tables.failed_rows(results)),
    ):
        if rows:
            show(render_rich(rows, title=title))
    for line in tables.sentences(results):
        print(visible(line))
    if len(results["history"]) > 1:
        print(tables.caution(results))
    print(visible(f"page: {page}\nall numbers: {folder / 'results.json'}"))
    return 0
