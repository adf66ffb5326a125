"""Choose the settings of a suite's systems on dev, from the finished trials."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dialogue_ser.evaluation.selection import run_scores
from dialogue_ser.evaluation.suite.plan import Cell, Plan
from dialogue_ser.evaluation.suite.rows import Row
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.tasks import find_task


def tuned_plan(plan: Plan, trials: Sequence[Cell], failed: Mapping[str, str]) -> Plan:
    """Return the plan whose rows have the settings of their best trial on dev.

    The metric is the one that the table compares. Of two trials with equal scores the earlier one is chosen.

    Args:
        plan: the plan with trials.
        trials: its trials, finished or not.
        failed: key of the trials that are not finished → why.

    Returns:
        the plan. A row without a finished trial is left out.

    Raises:
        DialogueSerError: a finished trial has no labelled turn in dev.
    """
    finished = {row.label: [cell for cell in trials if cell.row is row and cell.key not in failed] for row in plan.rows}
    return replace(plan, rows=tuple(_tuned(row, finished[row.label]) for row in plan.rows if finished[row.label]))


def _tuned(row: Row, cells: Sequence[Cell]) -> Row:
    metric = find_task(row.config.task).default_metric
    sign = METRICS[metric].sign
    scores = {cell.trial: run_scores(cell.folder, cell.config.data.dev)[metric] for cell in cells}
    best = max(scores, key=lambda number: (sign * scores[number], -(number or 0)))
    trial = next(one for one in row.trials if one.number == best)
    return replace(
        row,
        config=replace(trial.config, training=replace(trial.config.training, protocol=row.config.training.protocol)),
        tuned={
            "trials": len(row.trials),
            "seed": trial.config.seed,
            "chosen": trial.number,
            "settings": dict(trial.drawn),
            "dev": [{"trial": number, metric: score} for number, score in scores.items()],
        },
    )
