import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from dialogue_ser import registry
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.metrics.table import METRICS, Metric, as_metric, heading_of
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = ("calm", "glad", "cross")
TASK = Classification(LabelSet("any", LABELS))

OWN = """
from sklearn.metrics import cohen_kappa_score

from dialogue_ser.metrics.table import Metric


def kappa(gold, predicted):
    return cohen_kappa_score(gold, predicted)


def surprise(gold, predicted):
    return float((gold != predicted).mean())


surprise.heading = "share of wrong turns"
surprise.direction = "min"

right = Metric(
    key="right_turns",
    heading="right turns",
    function=lambda confusion: confusion.trace(axis1=-2, axis2=-1),
    needs="confusion",
    task="classification",
)


def uar(gold, predicted):
    return 1.0


def odd(gold, predicted):
    return 1.0


odd.direction = "up"
number = 7
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a user's module in the working folder."""
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_metrics", raising=False)
    return "own_metrics"


@pytest.fixture
def _no_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "registered", {})


@pytest.fixture
def table() -> Predictions:
    rng = np.random.default_rng(0)
    rows = {
        "split": "test",
        "dialogue_id": [f"d{number // 4}" for number in range(40)],
        "utterance_id": [str(number) for number in range(40)],
        "turn": [number % 4 for number in range(40)],
        "speaker": "A",
        "text": "",
        "gold": rng.choice(LABELS, size=40),
    }
    return predictions_of(pd.DataFrame(rows | TASK.prediction_columns(rng.dirichlet(np.ones(3), size=40))))


def test_every_metric_stands_under_its_key_with_a_heading_of_its_own() -> None:
    assert {key: metric.key for key, metric in METRICS.items()} == {key: key for key in METRICS}
    headings = [metric.heading for metric in METRICS.values()]
    assert len(set(headings)) == len(headings) == 14


def test_the_headings_of_the_field_are_kept() -> None:
    keys = ("weighted_f1", "accuracy", "uar", "macro_f1", "ccc", "pearson_r", "mae")
    expected = ["weighted F1", "accuracy (WA)", "UA (macro recall)", "macro F1", "CCC", "Pearson r", "MAE"]
    assert [heading_of(key) for key in keys] == expected
    assert heading_of("a_metric_of_somebody") == "a_metric_of_somebody"


def test_only_errors_are_better_when_lower() -> None:
    assert {key for key, metric in METRICS.items() if metric.direction == "min"} == {"mae", "mse"}
    for metric, better, worse in ((METRICS["ccc"], 0.4, 0.3), (METRICS["mae"], 0.3, 0.4)):
        assert metric.is_better(better, than=worse)
        assert not metric.is_better(worse, than=better)
        assert not metric.is_better(better, than=better)
        assert metric.best([worse, better, worse]) == better
        assert metric.sign * better > metric.sign * worse


def test_every_task_counts_the_metrics_of_its_kind_in_the_order_of_the_table() -> None:
    values = ["ccc", "pearson_r", "mae", "mse"]
    assert list(Regression(("valence",)).metrics()) == values
    assert list(TASK.metrics()) == [key for key in METRICS if key not in (*values, "micro_f1")]
    assert list(Classification(LabelSet("any", LABELS), ("calm",)).metrics())[-1] == "micro_f1"


def test_a_function_of_ones_own_is_a_metric_of_either_task(own: str, table: Predictions) -> None:
    metric = METRICS.find(f"{own}:kappa")
    assert (metric.key, metric.heading, metric.needs, metric.direction, metric.task) == (
        "kappa", "kappa", "turns", "max", None,
    )  # fmt: skip
    expected = cohen_kappa_score(table.frame["gold"], table.frame["predicted"])
    assert table.value(metric) == pytest.approx(expected)
    found = TASK.metrics([f"{own}:kappa"])
    assert list(found)[-1] == "kappa"
    assert TASK.scores(table, [f"{own}:kappa"])["kappa"] == table.value(metric)


def test_a_function_says_by_attributes_what_it_is(own: str, table: Predictions) -> None:
    metric = METRICS.find(f"{own}:surprise")
    assert (metric.key, metric.heading, metric.direction) == ("surprise", "share of wrong turns", "min")
    assert table.value(metric) == pytest.approx(1 - table.value(METRICS["accuracy"]))


def test_a_whole_metric_of_ones_own_keeps_its_key_and_is_additive(own: str, table: Predictions) -> None:
    metric = METRICS.find(f"{own}:right")
    assert isinstance(metric, Metric)
    assert metric.is_additive
    assert table.value(metric) == (table.frame["gold"] == table.frame["predicted"]).sum()
    assert METRICS["uar"].is_additive
    assert not METRICS["auc"].is_additive


@pytest.mark.usefixtures("_no_registered")
def test_the_decorator_takes_a_name_and_details(table: Predictions) -> None:
    @METRICS.register("wrong_turns", heading="wrong turns", direction="min", task="classification")
    def count(gold, predicted):
        return (gold != predicted).sum()

    metric = METRICS.find("wrong_turns")
    assert (metric.key, metric.heading, metric.direction) == ("wrong_turns", "wrong turns", "min")
    assert TASK.scores(table, ["wrong_turns"])["wrong_turns"] == count(table.frame["gold"], table.frame["predicted"])
    with pytest.raises(ConfigError, match="is one of classification, but the task is regression; leave it out"):
        Regression(("valence",)).metrics(["wrong_turns"])


@pytest.mark.usefixtures("_no_registered")
def test_the_decorator_refuses_names_that_are_taken_and_details_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="metric name 'uar' is taken by"):
        METRICS.register("uar")
    METRICS.register("mine", headling="mine")(lambda gold, predicted: 0.0)
    with pytest.raises(ConfigError, match="unknown detail 'headling'; did you mean 'heading'"):
        METRICS.find("mine")


def test_an_installed_package_offers_a_metric(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # an installed package is on the path; the working folder need not be
    point = EntryPoint("agreement", f"{own}:kappa", "dialogue_ser.metrics")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    assert METRICS.find("agreement").key == "agreement"
    assert "agreement" in TASK.metrics(["agreement"])
    with pytest.raises(ConfigError, match="did you mean 'agreement'"):
        METRICS.find("agrement")


def test_a_function_called_as_a_metric_of_the_library_is_refused(own: str) -> None:
    with pytest.raises(ConfigError, match="uar is a metric of the library; give the function another name"):
        METRICS.find(f"{own}:uar")


def test_two_metrics_of_one_key_are_refused_and_one_asked_for_twice_is_not(own: str, tmp_path: Path) -> None:
    (tmp_path / "other_metrics.py").write_text("def kappa(gold, predicted):\n    return 0.0\n")
    twice = TASK.metrics([f"{own}:kappa", f"{own}:kappa", "uar"])
    assert list(twice) == [*TASK.metrics(), "kappa"]
    with pytest.raises(ConfigError, match="there is another one called kappa; rename one of them"):
        TASK.metrics([f"{own}:kappa", "other_metrics:kappa"])


def test_what_is_no_metric_is_refused_with_its_reason(own: str) -> None:
    with pytest.raises(ConfigError, match=r"is neither a function \(gold, predicted\) nor a Metric"):
        METRICS.find(f"{own}:number")
    with pytest.raises(ConfigError, match="cannot import own_metrics:kapa"):
        METRICS.find(f"{own}:kapa")
    with pytest.raises(ConfigError, match="did you mean 'uar'"):
        METRICS.find("ua")


def test_a_direction_that_there_is_not_is_refused(own: str) -> None:
    with pytest.raises(ConfigError, match="metric 'odd': direction is 'up', expected one of max, min"):
        METRICS.find(f"{own}:odd")
    with pytest.raises(ConfigError) as caught:
        Metric(key="odd", heading="odd", function=max, needs="turn", task="ranking")  # type: ignore[arg-type]
    assert [("needs" in problem, "task" in problem) for problem in caught.value.problems] == [
        (True, False),
        (False, True),
    ]


def test_a_metric_of_both_kinds_of_name_keeps_what_it_is() -> None:
    metric = Metric(key="mine", heading="mine", function=max)
    assert as_metric("any:thing", metric) is metric


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda statistic: 1 / 0, "failed: ZeroDivisionError"),
        (
            lambda statistic: statistic[..., 0],
            "gave shape (3,) for statistics of shape (3, 3), expected finite numbers of shape ()",
        ),
        (lambda statistic: np.full(statistic.shape[:-2], np.nan), "something not finite"),
    ],
)
def test_an_additive_metric_of_ones_own_that_does_not_work_is_told_what_to_give(function, said, table) -> None:
    metric = Metric(key="broken", heading="broken", function=function, needs="confusion", task="classification")
    with pytest.raises(DialogueSerError, match=f"metric broken: its function .*{re.escape(said)}"):
        table.value(metric)


def test_what_a_metric_needs_says_of_which_task_it_is() -> None:
    needs = {"confusion": "classification", "probabilities": "classification", "moments": "regression", "turns": None}
    for need, task in needs.items():
        assert Metric(key="own", heading="own", function=len, needs=need).task == task
    with pytest.raises(ConfigError, match="needs moments, which a classification does not have"):
        Metric(key="own", heading="own", function=len, needs="moments", task="classification")


def test_keys_that_stand_for_something_else_are_refused() -> None:
    with pytest.raises(ConfigError, match="confusion is another entry of scores"):
        as_metric("mine:confusion", lambda gold, predicted: 1.0)
    with pytest.raises(ConfigError, match="uar is a metric of the library"):
        as_metric("mine:own", Metric(key="uar", heading="own", function=len))
    assert METRICS.find("uar") is METRICS["uar"]
