"""The metric of a sweep: only of dev, at the epoch that dev chose, the mean over folds."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.sweep.objective import (
    Objective,
    check_metric,
    chosen_epoch,
    curve_of,
    goal_warning,
    objective_of,
    score_of_folds,
    score_of_run,
)
from dialogue_ser.training.config.run_config import RunConfig
from tests.evaluation.sweep.conftest import GRID

F1 = Objective(name="dev/weighted_f1", key="weighted_f1", goal="maximize")
LOSS = Objective(name="dev/loss", key="loss", goal="minimize")


@pytest.mark.parametrize("name", ["test/weighted_f1", "test/loss", "test_loss"])
def test_a_metric_of_test_is_refused(make_plan, name):
    with pytest.raises(ConfigError, match=r"test"):
        make_plan(GRID.replace("dev/weighted_f1", name)).check()


@pytest.mark.parametrize("name", ["train/loss", "weighted_f1", "epoch/train_loss"])
def test_a_metric_that_is_not_of_dev_is_refused(make_plan, name):
    plan = make_plan(GRID)
    metric = plan.sweep.metric.__class__(name=name, goal="maximize")
    with pytest.raises(ConfigError, match="expected a metric of dev"):
        objective_of(plan.sweep.__class__(**{**vars(plan.sweep), "metric": metric}))


def test_a_metric_that_runs_do_not_compute_is_named(make_plan):
    with pytest.raises(ConfigError, match=r"did you mean.*dev/weighted_f1"):
        make_plan(GRID.replace("weighted_f1", "weigthed_f1")).check()
    ccc = Objective(name="dev/ccc", key="ccc", goal="maximize")
    with pytest.raises(ConfigError, match="no metric of a classification"):
        check_metric(ccc, RunConfig(), "file", is_crossval=False)
    check_metric(LOSS, RunConfig(), "file", is_crossval=False)
    with pytest.raises(ConfigError, match="unknown for crossval"):
        check_metric(LOSS, RunConfig(), "file", is_crossval=True)


def test_the_goal_of_wandb_is_minimize_and_a_warning_says_so():
    wrong = Objective(name="dev/weighted_f1", key="weighted_f1", goal="minimize")
    assert "greater values of dev/weighted_f1 are better" in goal_warning(wrong)
    assert goal_warning(F1) == goal_warning(LOSS) == ""


def write_run(folder, curve, best, **summary):
    rows = [
        {"kind": "epoch", "epoch": n, "dev_loss": 1 - score, "dev": {"weighted_f1": score}, "is_best": n <= best}
        for n, score in enumerate(curve, start=1)
    ]
    if summary:
        rows.append({"kind": "summary", "best_epoch": best, **summary})
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("name: a\ndata: {dev: valid}\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_score_is_that_of_the_epoch_that_dev_chose(tmp_path):
    write_run(
        tmp_path / "run", [0.2, 0.5, 0.4], 2, scores={"valid": {"weighted_f1": 0.5}, "test": {"weighted_f1": 0.9}}
    )
    assert score_of_run(tmp_path / "run", F1) == 0.5
    assert score_of_run(tmp_path / "run", LOSS) == 0.5
    assert chosen_epoch(tmp_path / "run" / "metrics.jsonl") == 2
    with pytest.raises(DialogueSerError, match="not defined on dev"):
        score_of_run(tmp_path / "run", Objective(name="dev/uar", key="uar", goal="maximize"))


def test_a_broken_or_repeated_line_does_not_change_the_curve(tmp_path):
    write_run(tmp_path / "run", [0.2, 0.5], 2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text(
        metrics.read_text() + json.dumps({"kind": "epoch", "epoch": 2, "dev": {}}) + '\n{"kind": "epoch", "ep'
    )
    first, second = curve_of(metrics, F1)
    assert first == 0.2
    assert math.isnan(second)
    assert curve_of(tmp_path / "none", F1) == []


def test_the_score_of_a_cross_validation_is_the_mean_over_folds(tmp_path):
    rows = [
        {"fold": fold, "split": split, "dialogue_id": f"d{n}", "utterance_id": f"u{fold}{split}{n}", "speaker": "s",
         "turn": n, "text": "", "gold": "ab"[n % 2], "predicted": "ab"[n % 2] if n < right else "ba"[n % 2],
         "p_a": 0.5, "p_b": 0.5}
        for fold, right in (("one", 4), ("two", 0))
        for split in ("dev", "test")
        for n in range(4)
    ]  # fmt: skip
    (tmp_path / "config.yaml").write_text("name: a\n")
    pd.DataFrame(rows).to_parquet(tmp_path / "predictions.parquet")
    assert score_of_folds(tmp_path, F1) == pytest.approx(np.mean([1.0, 0.0]))
