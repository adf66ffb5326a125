"""``dialogue-ser crossval``: every fold of a protocol fitted, chosen on dev and tested; pooled and per-fold scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dialogue_ser.cli.run_arguments import TrainRequest, parse_train
from dialogue_ser.cli.smoke import reduced
from dialogue_ser.cli.tables import show
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config_io import dump_config

if TYPE_CHECKING:
    from dialogue_ser.evaluation.extraction import Report

METRICS: Mapping[str, str] = {"ua": "UA", "wa": "WA", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}


def crossval_command(tokens: Sequence[str]) -> int:
    """Cross-validate as the flags say, which are those of ``train`` and ``--crossval.…``.

    Args:
        tokens: what follows ``dialogue-ser crossval``.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: whatever the user can mend; nothing is written then.
    """
    request = parse_train(tokens, command="crossval")
    if request.print_config:
        print(dump_config(request.config), end="")
        return 0
    if request.resume:
        raise ConfigError("crossval: no --resume needed; give the same command with the same --out again: it goes on")
    return _crossval(reduced(request, "utterances") if request.smoke else request)


def folds_table(scores: Mapping[str, Any]) -> Table:
    """One row per fold of what ``cross_validate`` returns, then their mean ± std and the pooled scores.

    Args:
        scores: the content of ``scores.json``.
    """
    note = ", with the test speakers' unlabelled recordings" if scores["uses_unlabelled_test_recordings"] else ""
    table = Table(title=f"{escape(scores['name'])}: {scores['protocol']}{note}", title_justify="left")
    table.add_column("fold")
    for heading in ("turns", "dev UA", *METRICS.values()):
        table.add_column(heading, justify="right")
    table.add_column("chosen on dev")
    for fold in scores["folds"]:
        cells = (f"{fold[name]:.3f}" for name in METRICS)
        chosen = ", ".join(f"{_SHORT[key]} {value:g}" for key, value in fold["chosen"].items() if key in _SHORT)
        table.add_row(escape(fold["name"]), str(fold["n"]), f"{fold['dev']['ua']:.3f}", *cells, chosen)
    table.add_section()
    means = (f"{one['mean']:.3f} ± {one['std']:.3f}" for one in (scores["fold_mean"][name] for name in METRICS))
    table.add_row("mean ± std", "", "", *means, "")
    pooled = (f"{scores['pooled'][name]:.3f}" for name in METRICS)
    table.add_row("pooled", str(scores["pooled"]["n"]), f"{scores['dev']['ua']:.3f}", *pooled, "")
    spans = (f"[{one['low']:.3f}, {one['high']:.3f}]" for one in (scores["intervals"][name] for name in METRICS))
    table.add_row("95 % over folds", "", "", *spans, "")
    return table


_SHORT = {"inverse_regularisation": "C", "best_epoch": "epoch"}


def _crossval(request: TrainRequest) -> int:
    from dialogue_ser.evaluation.crossval import cross_validate  # imports torch and scikit-learn

    out = request.out or Path("runs") / request.config.name
    with _bars() as (report_features, report_fold):
        scores = cross_validate(request.config, out, report_features=report_features, report_fold=report_fold)
    show(folds_table(scores))
    for modality, one in scores["extraction"].items():
        stored = one["utterances"] - one["encoded"]
        where = f", {stored} from the store" if stored else ""
        memory = f"{one['peak_memory_bytes'] / 1e6:.0f} MB"
        if one["worker_memory_bytes"]:
            memory += f" and {one['worker_memory_bytes'] / 1e6:.0f} MB in workers"
        print(f"{modality}: {one['encoded']} utterances encoded in {one['seconds']:.1f} s{where}; peak memory {memory}")
    print(f"all in {scores['seconds']:.1f} s\nscores: {out / 'scores.json'}")
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
