"""What the sampler of bayes sees of trials without a score, and that its proposals repeat."""

import pytest

from dialogue_ser.evaluation.sweep.objective import Objective
from dialogue_ser.evaluation.sweep.sampling import imputed, proposed
from dialogue_ser.evaluation.sweep.space import dimensions
from dialogue_ser.evaluation.sweep.trial import Trial
from tests.evaluation.sweep.conftest import RANDOM

BAYES = """
method: bayes
metric: {name: dev/weighted_f1, goal: maximize, IMPUTE}
parameters:
  a: {min: 0.0, max: 1.0}
  b: {values: [[1], {x: 2}]}
  c: {distribution: normal, mu: 1.0, sigma: 2.0}
"""
SEEN = [
    Trial(number=n, state="finished", score=1 - abs(n / 12 - 0.5), params={"a": n / 12, "b": n % 2, "c": 0.5})
    for n in range(12)
]


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_the_same_trials_give_the_same_proposal(make_plan, sampler):
    plan = make_plan(BAYES.replace(", IMPUTE", ""), sampler=sampler)
    space = dimensions(plan.sweep.parameters)
    running = Trial(number=12, state="running", params={"a": 0.51, "b": 0, "c": 0.5})
    undrawn = Trial(number=14, state="running")
    found = proposed(plan, space, [*SEEN, running, undrawn], 13)
    assert found == proposed(plan, space, [*SEEN, running, undrawn], 13)
    assert set(found) == {"a", "b", "c"}


def test_the_gaussian_process_goes_where_the_scores_are_good(make_plan):
    plan = make_plan(BAYES.replace(", IMPUTE", ""))
    assert proposed(plan, dimensions(plan.sweep.parameters), SEEN, 12)["a"] == pytest.approx(0.5, abs=0.2)


def test_a_missing_score_is_the_latest_the_best_or_the_worst():
    objective = Objective(name="dev/weighted_f1", key="weighted_f1", goal="maximize")
    trial = Trial(number=9, state="failed", curve=(0.1, 0.3, float("nan")))
    assert [imputed(how, objective, trial, [0.2, 0.6]) for how in ("latest", "best", "worst", "false")] == [
        0.3, 0.6, 0.2, None,
    ]  # fmt: skip
    assert imputed("worst", objective, trial, []) is None


def test_failed_trials_count_with_the_worst_score(make_plan, monkeypatch):
    plan = make_plan(BAYES.replace("IMPUTE", "impute: worst"))
    seen = {}
    from optuna.study import Study

    add = Study.add_trial
    monkeypatch.setattr(
        Study, "add_trial", lambda self, one: (seen.setdefault(one.params["a"], one.value), add(self, one))
    )
    failed = Trial(number=12, state="failed", params={"a": 0.99, "b": 0, "c": 0.5})
    proposed(plan, dimensions(plan.sweep.parameters), [*SEEN, failed], 13)
    assert seen[0.99] == min(trial.score for trial in SEEN)


def test_random_is_not_bayes(make_plan):
    assert make_plan(RANDOM).values_of(3) == make_plan(RANDOM).values_of(3) != make_plan(RANDOM).values_of(4)
