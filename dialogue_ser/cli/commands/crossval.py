"""``dialogue-ser crossval``: train and test once for every fold of a protocol; write scores, tables and a page."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dialogue_ser.cli.job_engines import job_engine
from dialogue_ser.cli.run_arguments import TrainRequest, parse_train
from dialogue_ser.cli.smoke import reduced
from dialogue_ser.cli.tables import show
from dialogue_ser.errors import ConfigError, shown_problems
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.training.config.files import dump_config
from dialogue_ser.training.data.corpus import for_every_fold

if TYPE_CHECKING:
    from dialogue_ser.corpus.schema import Corpus
    from dialogue_ser.evaluation.crossval.extraction import Report


def crossval_command(tokens: Sequence[str]) -> int:
    """Cross-validate as the flags say. The flags are those of ``train``; ``--data.cut.protocol`` makes the folds.

    Args:
        tokens: the tokens after ``dialogue-ser crossval``.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: an error that the user can correct; nothing is written then.
    """
    request = parse_train(tokens, command="crossval")
    request = replace(request, config=for_every_fold(request.config))
    if request.print_config:
        print(dump_config(request.config), end="")
        return 0
    if request.resume:
        raise ConfigError(
            "crossval: leave --resume out; the same command with the same --out continues where it stopped"
        )
    return _run_folds(*reduced(request, "utterances")) if request.smoke else _run_folds(request)


def finish(folder: Path, scores: Mapping[str, Any]) -> Path:
    """Print the tables of a cross-validation and write its page and figures.

    Args:
        folder: directory of the cross-validation.
        scores: the content of its ``scores.json``.

    Returns:
        the path of ``report.html``.
    """
    from dialogue_ser.report.crossval_page import write_crossval_report
    from dialogue_ser.report.sections import crossval_tables as rows
    from dialogue_ser.report.sections.crossval_sections import cautions
    from dialogue_ser.report.sections.tables import class_rows, dimension_rows, render_rich

    report = write_crossval_report(folder)
    title = " · ".join(part for part in (scores["name"], scores["scenario"], scores["protocol"]) if part)
    show(render_rich(rows.fold_rows(scores), title=title))
    show(render_rich(rows.score_rows(scores), title="scores"))
    if "class_intervals" in scores:
        classes = {"scores": scores["pooled"], "class_intervals": scores["class_intervals"]}
        show(render_rich(class_rows(classes), title="classes, over all folds"))
        show(
            render_rich(
                rows.confusion_rows(scores["pooled"]["confusion"], scores["labels"]),
                title="confusion matrix, over all folds",
            )
        )
    else:
        intervals = {**scores["dimension_intervals"], "": scores["intervals"]}
        show(render_rich(dimension_rows(scores["pooled"], intervals), title="dimensions, over all folds"))
    for name, groups in (("speaker", scores["speakers"]), *scores["attributes"].items()):
        if set(groups) != {fold["name"] for fold in scores["folds"]}:  # else the table of folds shows the same rows
            show(render_rich(rows.group_rows(scores, groups, name), title=f"by {name}"))
    published = rows.published_table(scores, same_conditions=True)
    if published:
        show(render_rich(published, title="comparison with published numbers (not measured here)"))
    if scores["published"]:
        print("The report and 'dialogue-ser published' list all published numbers on this corpus.")
    for note in shown_problems(scores["notes"]):
        print(f"reader: {note}")
    for caution in cautions(scores):
        print(f"note: {visible(caution)}")
    return report


def _run_folds(request: TrainRequest, corpus: "Corpus | None" = None) -> int:
    """Train and test every fold, then print and write the results. Returns exit status 0."""
    from dialogue_ser.evaluation.crossval.cross_validate import cross_validate  # imports torch and scikit-learn

    engine = job_engine("crossval", request.engine, request.jobs, request.address, request.gpus)
    is_here = corpus is not None or (request.jobs == 1 and request.engine == "local")
    out = request.out or Path("runs") / request.config.name
    try:
        with _progress_bars() as (report_features, report_fold):
            scores = cross_validate(
                request.config,
                out,
                corpus=corpus,
                report_features=report_features,
                report_fold=report_fold,
                engine=None if is_here else engine,
            )
    except (SystemExit, KeyboardInterrupt):  # the message of the fold's run would resume this fold alone
        print(f"stopped: run the same command with --out {out} again to continue", file=sys.stderr)
        raise
    report = finish(out, scores)
    for modality, extraction in scores["extraction"].items():
        print(_extraction_line(modality, extraction))
    print(f"total time: {scores['seconds']:.1f} s\nscores: {out / 'scores.json'}\nreport: {report}")
    return 0


def _extraction_line(modality: str, extraction: Mapping[str, Any]) -> str:
    """How many utterances of a modality were encoded, in what time, with how much memory.

    >>> counts = {"utterances": 9, "encoded": 4, "seconds": 2.0}
    >>> _extraction_line("audio", {**counts, "peak_memory_bytes": 3e8, "worker_memory_bytes": 0})
    'audio: 4 utterances encoded in 2.0 s (5 more are in the store or have no features); peak memory 300 MB'
    """
    n_others = extraction["utterances"] - extraction["encoded"]
    others = f" ({n_others} more are in the store or have no features)" if n_others else ""
    memory = f"{extraction['peak_memory_bytes'] / 1e6:.0f} MB"
    if extraction["worker_memory_bytes"]:
        memory += f" and {extraction['worker_memory_bytes'] / 1e6:.0f} MB in worker processes"
    seconds = extraction["seconds"]
    return f"{modality}: {extraction['encoded']} utterances encoded in {seconds:.1f} s{others}; peak memory {memory}"


@contextmanager
def _progress_bars() -> "Iterator[tuple[Callable[[str], Report], Callable[[int, int, str], None]]]":
    """Yield two functions that show the progress of encoding and of folds; they draw on terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        folds = bar.add_task("folds", total=None)

        def features(modality: str) -> "Report":
            task = bar.add_task(f"encoding {escape(modality)}", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        def fold(done: int, total: int, name: str) -> None:
            bar.update(folds, completed=done, total=total, description=f"fold {escape(name)}" if name else "folds")

        yield features, fold
