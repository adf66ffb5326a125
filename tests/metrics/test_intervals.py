from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import bootstrap, metrics_function
from dialogue_ser.metrics.intervals import MAX_CALLS, intervals, paired_comparison
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = ("calm", "glad", "cross")
CLASSES, VALUES = Classification(LabelSet("any", LABELS)), Regression(("valence", "arousal"))
N_DIALOGUES = 25
KAPPA = Metric(key="kappa", heading="kappa", function=cohen_kappa_score)
MEDIAN = Metric(
    key="median", heading="median error", direction="min", function=lambda gold, said: np.median(np.abs(gold - said))
)


def _frame(task: Task, numbers_NS: np.ndarray, gold: dict[str, np.ndarray]) -> pd.DataFrame:
    """Dialogue d has 1 + d % 5 turns."""
    dialogue_N = np.repeat(np.arange(N_DIALOGUES), 1 + np.arange(N_DIALOGUES) % 5)
    rows = {
        "split": "test",
        "dialogue_id": dialogue_N.astype(str),
        "utterance_id": np.arange(dialogue_N.size).astype(str),
        "turn": np.concatenate([np.arange(count) for count in np.bincount(dialogue_N)]),
        "speaker": "A",
        "text": "",
        **gold,
    }
    return pd.DataFrame(rows | task.prediction_columns(numbers_NS))


N_TURNS = int((1 + np.arange(N_DIALOGUES) % 5).sum())


def _classes(skill: float, seed: int = 0, missing: slice = slice(0, 0)) -> Predictions:
    gold_N = np.random.default_rng(9).integers(0, 3, N_TURNS)
    rng = np.random.default_rng(seed)
    p_NC = np.exp(rng.normal(size=(N_TURNS, 3)) + skill * np.eye(3)[gold_N])
    gold = np.array(LABELS, dtype=object)[gold_N]
    gold[missing] = None
    return predictions_of(_frame(CLASSES, p_NC / p_NC.sum(-1, keepdims=True), {"gold": gold}))


def _values(noise: float, seed: int = 0) -> Predictions:
    gold_NS = np.random.default_rng(9).normal(3.0, 1.0, size=(N_TURNS, 2))
    said_NS = gold_NS + np.random.default_rng(seed).normal(scale=noise, size=gold_NS.shape)
    return predictions_of(_frame(VALUES, said_NS, {"gold_valence": gold_NS[:, 0], "gold_arousal": gold_NS[:, 1]}))


def _by_loop(table: Predictions, score: Callable[[pd.DataFrame], float], n: int, seed: int) -> list[float]:
    """Return the scores of n resamples. Each resample is built dialogue by dialogue."""
    dialogues = [rows for _, rows in table.frame.groupby("dialogue_id", sort=False)]
    size = len(dialogues)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=n)
    return [score(pd.concat([rows for rows, k in zip(dialogues, row, strict=True) for _ in range(k)])) for row in drawn]


def test_the_interval_of_a_function_of_turns_is_that_of_a_plain_loop() -> None:
    table = _classes(1.0)
    draws = _by_loop(table, lambda rows: cohen_kappa_score(rows["gold"], rows["predicted"]), 60, seed=3)
    found = intervals(table, [KAPPA], n_resamples=60, seed=3)["kappa"]
    np.testing.assert_allclose([found.low, found.high], np.quantile(draws, [0.025, 0.975]), atol=1e-12)
    assert found.estimate == pytest.approx(cohen_kappa_score(table.frame["gold"], table.frame["predicted"]))


def test_the_interval_of_an_additive_metric_of_values_is_that_of_a_plain_loop() -> None:
    table = _values(0.5)

    def error(rows: pd.DataFrame) -> float:
        each = [(rows[f"gold_{name}"] - rows[f"predicted_{name}"]).abs().mean() for name in VALUES.names]
        return float(np.mean(each))

    draws = _by_loop(table, error, 60, seed=3)
    found = intervals(table, [METRICS["mae"]], n_resamples=60, seed=3)["mae"]
    np.testing.assert_allclose([found.low, found.high], np.quantile(draws, [0.025, 0.975]), atol=1e-12)


def test_a_metric_as_a_function_of_turns_has_the_interval_it_has_by_sums() -> None:
    by_turns = Metric(key="right", heading="right", function=lambda gold, said: (gold == said).mean())
    found = intervals(_classes(1.0), [by_turns, METRICS["accuracy"]], n_resamples=100, seed=5)
    assert list(found) == ["right", "accuracy"]
    for field in ("estimate", "low", "high"):
        assert getattr(found["right"], field) == pytest.approx(getattr(found["accuracy"], field), abs=1e-12)


def test_dialogues_without_labelled_turns_are_never_drawn() -> None:
    table = _classes(1.0, missing=slice(0, 20))
    by_turns = Metric(key="right", heading="right", function=lambda gold, said: (gold == said).mean())
    found = intervals(table, [by_turns, METRICS["accuracy"]], n_resamples=100, seed=5)
    assert found["right"].low == pytest.approx(found["accuracy"].low, abs=1e-12)
    assert found["right"].high == pytest.approx(found["accuracy"].high, abs=1e-12)


def test_additive_metrics_have_the_intervals_of_the_bootstrap_and_those_of_probabilities_none() -> None:
    table = _classes(1.0)
    metrics = [METRICS["uar"], METRICS["auc"], METRICS["weighted_f1"]]
    found = intervals(table, metrics, n_resamples=50, seed=1)
    assert found == bootstrap(
        table.statistics(), metrics_function([METRICS["uar"], METRICS["weighted_f1"]]), 50, seed=1
    )


def test_a_function_is_called_no_more_often_than_it_says() -> None:
    calls = []
    counted = Metric(key="counted", heading="counted", function=lambda gold, said: float(len(calls.append(1) or gold)))
    intervals(_classes(1.0), [counted], n_resamples=5000)
    assert len(calls) == MAX_CALLS + 1
    calls.clear()
    intervals(_classes(1.0), [counted], n_resamples=7)
    assert len(calls) == 8


def test_groups_of_ones_own_are_drawn_instead_of_dialogues() -> None:
    table = _classes(1.0)
    group_N = table.dialogue_N % 4
    found = intervals(table, [METRICS["uar"], KAPPA], n_resamples=40, seed=2, group_N=group_N)
    assert found["uar"] == bootstrap(table.statistics(group_N), metrics_function([METRICS["uar"]]), 40, seed=2)["uar"]
    frame = table.frame.assign(dialogue_id=group_N.astype(str)).sort_values("dialogue_id", kind="stable")
    grouped = predictions_of(frame.assign(turn=range(len(frame))))
    assert found["kappa"] == intervals(grouped, [KAPPA], n_resamples=40, seed=2)["kappa"]


def test_a_metric_that_is_undefined_somewhere_has_no_interval_and_cannot_be_compared() -> None:
    table = _classes(1.0)
    never = Metric(key="never", heading="never", function=lambda gold, said: None)
    assert intervals(table, [never], n_resamples=10) == {}
    whole = len(table)
    sometimes = Metric(
        key="sometimes", heading="sometimes", function=lambda gold, said: 1.0 if len(gold) == whole else None
    )
    assert table.value(sometimes) == 1.0
    assert intervals(table, [sometimes], n_resamples=30) == {}
    with pytest.raises(DialogueSerError, match=r"sometimes is not defined on its turns, or on a resample"):
        paired_comparison([table], [table], sometimes, n_resamples=30)


@pytest.mark.parametrize(
    ("table", "metric"),
    [(_classes(1.0), METRICS["weighted_f1"]), (_classes(1.0), KAPPA), (_values(0.5), METRICS["ccc"]),
     (_values(0.5), METRICS["mae"]), (_values(0.5), MEDIAN)],
    ids=["weighted_f1", "kappa", "ccc", "mae", "median"],
)  # fmt: skip
def test_equal_systems_differ_by_exactly_nothing_by_any_metric(table: Predictions, metric: Metric) -> None:
    difference, test = paired_comparison([table], [table], metric, n_resamples=50)
    assert (difference.estimate, difference.low, difference.high, difference.share_above_zero) == (0, 0, 0, 0)
    assert difference.n_dialogues == N_DIALOGUES
    assert (test is None) == (not metric.is_additive)
    assert test is None or test.p_value == 1


@pytest.mark.parametrize("metric", [METRICS["mae"], METRICS["mse"], MEDIAN], ids=["mae", "mse", "median"])
def test_of_a_metric_where_lower_is_better_the_better_system_lies_below(metric: Metric) -> None:
    better, worse = _values(0.3, 1), _values(1.0, 2)
    difference, _ = paired_comparison([better], [worse], metric, n_resamples=100)
    assert difference.high < 0
    assert difference.share_above_zero == 0
    assert difference.estimate == pytest.approx(better.value(metric) - worse.value(metric))
    assert (difference.a, difference.b) == pytest.approx((better.value(metric), worse.value(metric)))


def test_a_paired_difference_by_turns_equals_the_one_by_sums() -> None:
    by_turns = Metric(key="right", heading="right", function=lambda gold, said: (gold == said).mean())
    a, b = [_classes(1.5, 1), _classes(1.2, 2)], [_classes(0.5, 3), _classes(0.7, 4)]
    (one, _), (other, _) = (
        paired_comparison(a, b, metric, n_resamples=100, seed=4) for metric in (by_turns, METRICS["accuracy"])
    )
    assert one.n_seeds == other.n_seeds == (2, 2)
    for field in ("estimate", "low", "high", "a", "b", "share_above_zero"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-12)


def test_a_paired_difference_by_turns_draws_only_dialogues_with_labels() -> None:
    by_turns = Metric(key="right", heading="right", function=lambda gold, said: (gold == said).mean())
    hidden = slice(N_TURNS // 2, None)
    a, b = _classes(1.5, 1, hidden), _classes(0.5, 3, hidden)
    one, other = (paired_comparison([a], [b], metric, 100, seed=4)[0] for metric in (by_turns, METRICS["accuracy"]))
    assert one.n_dialogues == other.n_dialogues < N_DIALOGUES
    for field in ("estimate", "low", "high", "a", "b", "share_above_zero"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-12)


def test_turns_in_another_order_are_paired_by_their_ids() -> None:
    a, b = _classes(1.5, 1), _classes(0.5, 2)
    turned = predictions_of(b.frame.iloc[::-1])
    for metric in (METRICS["uar"], KAPPA):
        assert paired_comparison([a], [turned], metric, 30)[0] == paired_comparison([a], [b], metric, 30)[0]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DialogueSerError, match="holds a regression, but uar is a metric of classification"):
        paired_comparison([_values(0.5)], [_values(0.4)], METRICS["uar"])
    with pytest.raises(DialogueSerError, match="a classification against a regression"):
        paired_comparison([_values(0.5)], [_classes(1.0)], METRICS["ccc"])
    with pytest.raises(DialogueSerError, match="different gold labels"):
        paired_comparison([_classes(1.0)], [_classes(1.0, missing=slice(0, 1))], KAPPA)
