"""``dialogue-ser train``: train a run, then write its scores, report and model card."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue_ser.cli.run_arguments import TrainRequest, parse_train
from dialogue_ser.cli.smoke import reduced
from dialogue_ser.cli.sweep_run import end_by_signal, in_sweep
from dialogue_ser.cli.tables import scores_table, show, show_notes
from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.training.config.files import dump_config

if TYPE_CHECKING:
    from dialogue_ser.corpus.schema import Corpus


def train_command(tokens: Sequence[str]) -> int:
    """Train as the flags say, then write scores, report and model card.

    Args:
        tokens: the tokens after ``dialogue-ser train``.

    Returns:
        exit status: 0, or 128 + the number of the signal that interrupted the run (``--resume`` continues it).

    Raises:
        DialogueSerError: an error that the user can correct; nothing is written then.
    """
    request = in_sweep(parse_train(tokens), tokens, os.environ)
    if request.print_config:
        print(dump_config(request.config), end="")
        return 0
    if request.config.crossval.estimator != "none":
        raise ConfigError(
            f"train: {request.config.name} fits an estimator (crossval.estimator "
            f"{request.config.crossval.estimator}) and trains no dialogue model; run dialogue-ser crossval with the "
            "same flags"
        )
    from dialogue_ser.training.loop.interrupt import Interrupted

    try:
        return _train(*reduced(request, "dialogues")) if request.smoke else _train(request)
    except Interrupted as stop:
        end_by_signal(stop.signal_number, os.environ)
        raise


def finish(run_dir: Path, metrics: Sequence[str] | None = None) -> Path:
    """Score a finished run, write its model card and report, and print the table of scores.

    Args:
        run_dir: directory of the run.
        metrics: further metrics to compute, see :func:`~dialogue_ser.evaluation.run.evaluate_run`.

    Returns:
        the path of the report.
    """
    from dialogue_ser.durable import write_atomically
    from dialogue_ser.evaluation.run import evaluate_run
    from dialogue_ser.report.card import model_card
    from dialogue_ser.report.page import write_report

    scores = evaluate_run(run_dir, metrics=metrics)
    write_atomically(run_dir / "model" / "README.md", model_card(run_dir))
    report = write_report(run_dir)
    show(scores_table(scores))
    show_notes(scores)
    return report


def _train(request: TrainRequest, corpus: "Corpus | None" = None) -> int:
    from dialogue_ser.runs.run_files import REPORT, RunFiles
    from dialogue_ser.training.data.prepare import requested_metrics
    from dialogue_ser.training.loop.devices import is_main_process
    from dialogue_ser.training.run import train

    run = train(
        request.config,
        out=request.out,
        corpus=corpus,
        resume=request.resume,
        allow_mismatch=request.allow_mismatch,
        complete=lambda folder: finish(folder, requested_metrics(request.config)),
    )
    if not is_main_process():  # `accelerate launch` and torchrun start several processes; one scores, writes and prints
        return 0
    report = run.folder / REPORT
    if balance := RunFiles(run.folder).summary.get("balance"):
        print(visible(_balance_line(balance)))
    print(f"run:    {run.folder}\nreport: {report}\nuse it: dialogue-ser predict {run.folder} INPUT.csv")
    return 0


def _balance_line(balance: Mapping[str, Any]) -> str:
    """Say how many turns of each class downsampling kept.

    >>> _balance_line({"before": {"calm": 5, "cross": 2}, "after": {"calm": 2, "cross": 2}, "dropped_dialogues": 3})
    'kept for training: calm 2 of 5 turns, cross 2 of 2 turns; 3 dialogues dropped'
    """
    kept = (f"{label} {n} of {balance['before'][label]} turns" for label, n in balance["after"].items())
    return f"kept for training: {', '.join(kept)}; {balance['dropped_dialogues']} dialogues dropped"
