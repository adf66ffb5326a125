"""``dialogue-ser benchmark SUITE.yaml``: train every system with every seed, and compare them in one table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dialogue_ser.cli.commands.suites.errors import write_analysis
from dialogue_ser.cli.job_engines import job_engine
from dialogue_ser.cli.tables import show
from dialogue_ser.errors import DialogueSerError, shown_problems
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.trust import Trust

if TYPE_CHECKING:
    from dialogue_ser.evaluation.suite.plan import Plan


def benchmark(
    suite: str,
    out: str | None = None,
    jobs: int = 1,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus: float = 0.0,
    protocol: Literal["dev", "legacy-test-peek", "crossval"] | None = None,
    systems: dict[str, str] | None = None,
    seeds: list[int] | None = None,
    dry_run: bool = False,
    trust_code: bool = False,
) -> int:
    """Compare systems fairly: train all of a suite with all seeds, and write one table.

    The suite is a YAML file (docs/benchmark.md). The same command continues a suite that was stopped or killed.
    Finished runs are not repeated. If a run fails, the others go on, and the exit status is 1.

    Args:
        suite: file of the suite.
        out: folder for the runs and the table. If left out: runs/ and the name of the suite.
        jobs: number of runs at the same time; 0 = one for each CPU core. The threads are divided among them.
        engine: local = processes of this machine; ray = a Ray cluster (needs the extra 'ray').
        address: address of the Ray cluster. If left out, Ray is started on this machine.
        gpus: number of GPUs for each run on Ray.
        protocol: protocol that replaces the one of the suite. legacy-test-peek also scores the epoch that test would
            choose, to measure how much this habit raises a score.
        systems: further systems, by label, e.g. --systems.mine package.module:Class.
        seeds: seeds that replace those of the suite, e.g. --seeds '[1]' for a first look.
        dry_run: check the suite, list its runs and stop.
        trust_code: allow code that the suite names, e.g. your own model. It is run, so allow only code that you trust.
            Code that flags name is always allowed.
    """
    from dialogue_ser.evaluation.suite.plan import read_plan
    from dialogue_ser.evaluation.suite.run_suite import run_suite
    from dialogue_ser.many.progress import Shown

    trust = True if trust_code else frozenset((systems or {}).values())
    jobs_engine = job_engine("benchmark", engine, jobs, address, gpus)
    plan = read_plan(Path(suite), systems=systems, seeds=seeds, protocol=protocol, trust_code=trust)
    folder = Path(out) if out else Path("runs") / plan.suite.name
    if dry_run:
        _list_runs(plan, folder)
        return 0
    try:
        found = run_suite(
            plan,
            folder,
            engine=jobs_engine,
            progress=Shown,
        )
    except (KeyboardInterrupt, SystemExit):
        print(f"stopped: run the same command with --out {folder} again to continue", file=sys.stderr)
        raise
    finish(folder, trust)
    for key, reason in found.failed.items():
        for line in shown_problems(reason.splitlines() or [""]):
            print(visible(f"failed: {key}: {line}"), file=sys.stderr)
    if found.failed:
        number = f"{len(found.failed)} run{'s' if len(found.failed) > 1 else ''} failed"
        print(
            f"{number}; the same command tries them again. To make a run from its beginning, delete its folder in "
            f"{folder / 'runs'}",
            file=sys.stderr,
        )
    return 1 if found.failed else 0


def finish(folder: Path, trust_code: Trust = False) -> None:
    """Write the tables, the page and the error analysis of a suite, and print its table.

    Args:
        folder: folder of the suite, with ``results.json``.
        trust_code: code that the runs may name, e.g. the user's own reader.
    """
    from dialogue_ser.report.sections import suite_tables
    from dialogue_ser.report.sections.tables import render_rich
    from dialogue_ser.report.suite_page import cautions, verdict, write_suite_report
    from dialogue_ser.runs.run_files import read_json

    analysis = _analysis(folder, trust_code)  # before the page, which links to it
    page = write_suite_report(folder)
    results = read_json(folder / "results.json")
    show(render_rich(suite_tables.main_rows(results), title=f"{results['name']}: {results['split']}"))
    if results["labels"]:
        show(render_rich(suite_tables.class_rows_of(results), title="F1 of each class"))
    for line in suite_tables.legend(results):
        print(visible(line))
    print(visible(verdict(results)))
    for caution in cautions(results):
        print(visible(f"warning: {caution}"))
    if results["published"]:
        print("The page and 'dialogue-ser published' list published numbers on this corpus.")
    print(f"page:   {page}\ntables: {folder / 'table.md'}, table.tex, table.csv; all numbers: results.json")
    if analysis is not None:
        print(f"errors: {analysis}; 'dialogue-ser errors {folder} --systems A,B' compares two systems of your choice")


def _analysis(folder: Path, trust_code: Trust) -> Path | None:
    """Write the error analysis and return its page; None with a warning if it cannot be made. The table stays."""
    try:
        return write_analysis(folder, trust_code=trust_code)
    except DialogueSerError as error:
        for problem in shown_problems(error.problems):
            print(visible(f"warning: no error analysis: {problem}"), file=sys.stderr)
        return None


def _list_runs(plan: "Plan", folder: Path) -> None:
    """Print the runs of a suite: what is finished, and what is to be done."""
    from dialogue_ser.evaluation.suite.work import has_results

    tuning, seeds = plan.suite.tuning, len(plan.suite.seeds)
    cells = plan.cells(folder) if tuning is None else plan.trials(folder)
    for cell in cells:
        state = "finished" if has_results(cell.folder) else "to do"
        print(visible(f"{cell.key}: {state}; {cell.config.model.name}; {cell.folder}"))
    if tuning is None:
        print(f"{len(cells)} runs: {len(plan.rows)} rows × {seeds} seeds")
        return
    print(
        f"{len(cells)} trials: {len(plan.rows)} rows × {tuning.trials}; then {len(plan.rows) * seeds} runs: the best "
        f"trial of each row × {seeds} seeds"
    )
