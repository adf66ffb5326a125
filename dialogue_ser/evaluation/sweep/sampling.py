"""The settings of the next trial: the next point of the grid, a random draw, or what Optuna proposes (``bayes``)."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dialogue_ser.evaluation.sweep.objective import Objective
from dialogue_ser.evaluation.sweep.plan import SweepPlan
from dialogue_ser.evaluation.sweep.space import Dimension, choices_of, dimensions, values_of
from dialogue_ser.evaluation.sweep.storage import import_optuna
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.evaluation.sweep.trial import Trial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

#: Seeds of Optuna are smaller than this.
_SEEDS = 2**32


def drawn_trial(plan: SweepPlan, study: SweepStudy, trial: Trial) -> Trial:
    """Return a trial with its settings. They are drawn if the storage does not have them yet.

    The settings of grid and random follow from the number of the trial, those of bayes from the trials so far.
    """
    if trial.values or not plan.sweep.parameters:
        return trial
    parameters = plan.sweep.parameters
    if plan.sweep.method != "bayes":
        values = plan.values_of(trial.number)
        params, distributions = choices_of(parameters, values, plan.seed, trial.number)
    else:
        found = dimensions(parameters)
        others = [one for one in study.trials() if one.number != trial.number]
        params = proposed(plan, found, others, trial.number) if found else {}
        values = values_of(parameters, params)
        distributions = {name: one.distribution for name, one in found.items()}
    return study.set_drawn(trial, values, params, distributions)


def proposed(plan: SweepPlan, space: Mapping[str, Dimension], others: Sequence[Trial], number: int) -> dict[str, Any]:
    """Return what Optuna proposes for the next trial of bayes.

    Optuna sees a copy of the trials: a stopped one with its best score so far, a failed one with the score that
    ``impute`` says, a running one without a score (the sampler fills it in) or with that of ``impute_while_running``.

    Args:
        plan: the sweep.
        space: name → parameter.
        others: all other trials.
        number: number of the trial.
    """
    optuna = import_optuna()
    objective = plan.objective
    sampler = _sampler(plan, number)
    view = optuna.create_study(direction=objective.goal, sampler=sampler)
    distributions = {name: one.distribution for name, one in space.items()}
    scores = [trial.score for trial in others if trial.is_scored and trial.score is not None]
    for trial in others:
        if set(trial.params) != set(distributions):  # its worker died before it was drawn
            continue
        score = _score_for_sampler(plan, objective, trial, scores)
        if score is None and trial.state not in ("running", "waiting"):
            continue
        state = optuna.trial.TrialState.RUNNING if score is None else optuna.trial.TrialState.COMPLETE
        view.add_trial(
            optuna.trial.create_trial(state=state, value=score, params=dict(trial.params), distributions=distributions)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(view.ask(distributions).params)


def _sampler(plan: SweepPlan, number: int) -> "BaseSampler":
    optuna = import_optuna()
    seed = (plan.seed + 7919 * number) % _SEEDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts of the samplers count as experimental
        if plan.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)  # type: ignore[no-any-return]
        return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)  # type: ignore[no-any-return]


def _score_for_sampler(plan: SweepPlan, objective: Objective, trial: Trial, scores: Sequence[float]) -> float | None:
    """Return the score of a trial that the sampler sees; None = it has none."""
    metric = plan.sweep.metric
    assert metric is not None
    if trial.is_scored:
        return trial.score
    if trial.state == "failed":
        return imputed(metric.impute, objective, trial, scores)
    return imputed(metric.impute_while_running, objective, trial, scores)


def imputed(how: str, objective: Objective, trial: Trial, scores: Sequence[float]) -> float | None:
    """Return the score that stands for a missing one: the latest value of the trial, or the best or worst of all.

    Args:
        how: ``latest``, ``best``, ``worst`` or ``false``.
        objective: the metric.
        trial: the trial without a score.
        scores: the scores of all other trials.
    """
    if how == "latest":
        return next((value for value in reversed(trial.curve) if math.isfinite(value)), None)
    if how == "best":
        return objective.best(scores)
    if how == "worst" and scores:
        return min(scores) if objective.goal == "maximize" else max(scores)
    return None
