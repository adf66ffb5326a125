"""``dialogue-ser crossval``: every fold of a protocol fitted, chosen on dev and tested; scores, tables and a page."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dialogue_ser.cli.commands.smoke import reduced
from dialogue_ser.cli.run_arguments import TrainRequest, parse_train
from dialogue_ser.cli.tables import show
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import dump_config
from dialogue_ser.training.data.corpus import for_every_fold

if TYPE_CHECKING:
    from dialogue_ser.corpus.schema import Corpus
    from dialogue_ser.evaluation.crossval.extraction import Report


def crossval_command(tokens: Sequence[str]) -> int:
    """Cross-validate as the flags say, which are those of ``train``, with ``--data.cut.protocol`` and ``--crossval.…``.

    Args:
        tokens: what follows ``dialogue-ser crossval``.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: whatever the user can mend; nothing is written then.
    """
    request = parse_train(tokens, command="crossval")
    request = replace(request, config=for_every_fold(request.config))
    if request.print_config:
        print(dump_config(request.config), end="")
        return 0
    if request.resume:
        raise ConfigError("crossval: no --resume needed; give the same command with the same --out again: it goes on")
    return _crossval(*reduced(request, "utterances")) if request.smoke else _crossval(request)


def finish(folder: Path, scores: Mapping[str, Any]) -> Path:
    """Print the tables of a cross-validation and write its page and figures.

    Args:
        folder: its directory.
        scores: the content of its ``scores.json``.

    Returns:
        path of report.html.
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
        show(render_rich(class_rows(classes), title="classes, all test turns"))
        show(render_rich(rows.confusion_rows(scores["pooled"]["confusion"], scores["labels"]), title="confusion"))
    else:
        intervals = {**scores["dimension_intervals"], "": scores["intervals"]}
        show(render_rich(dimension_rows(scores["pooled"], intervals), title="dimensions, all test turns"))
    for name, groups in (("speaker", scores["speakers"]), *scores["attributes"].items()):
        if set(groups) != {fold["name"] for fold in scores["folds"]}:  # else the first table has said it
            show(render_rich(rows.group_rows(scores, groups, name), title=f"by {name}"))
    published = rows.published_table(scores, same_conditions=True)
    if published:
        show(render_rich(published, title="beside published numbers, which were not measured here"))
    if scores["published"]:
        print("all published numbers on this corpus: in the report, and dialogue-ser published")
    for note in scores["notes"]:
        print(f"reader: {note}")
    for caution in cautions(scores):
        print(f"note: {caution}")
    return report


def _crossval(request: TrainRequest, corpus: "Corpus | None" = None) -> int:
    from dialogue_ser.evaluation.crossval.cross_validate import cross_validate  # imports torch and scikit-learn
    from dialogue_ser.training.loop.interrupt import Interrupted

    out = request.out or Path("runs") / request.config.name
    try:
        with _bars() as (report_features, report_fold):
            scores = cross_validate(
                request.config, out, corpus=corpus, report_features=report_features, report_fold=report_fold
            )
    except (Interrupted, KeyboardInterrupt):  # a fold's own run says how it alone would be resumed
        print(f"stopped: the same command with --out {out} goes on", file=sys.stderr)
        raise
    report = finish(out, scores)
    for modality, one in scores["extraction"].items():
        stored = one["utterances"] - one["encoded"]
        where = f", {stored} were in the store or have none" if stored else ""
        memory = f"{one['peak_memory_bytes'] / 1e6:.0f} MB"
        if one["worker_memory_bytes"]:
            memory += f" and {one['worker_memory_bytes'] / 1e6:.0f} MB in workers"
        print(f"{modality}: {one['encoded']} utterances encoded in {one['seconds']:.1f} s{where}; peak memory {memory}")
    print(f"all in {scores['seconds']:.1f} s\nscores: {out / 'scores.json'}\nreport: {report}")
    return 0


@contextmanager
def _bars() -> "Iterator[tuple[Callable[[str], Report], Callable[[int, int, str], None]]]":
    """Functions that draw how far encoding and folds have come, on terminals."""
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
