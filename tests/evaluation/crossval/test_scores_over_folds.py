import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, fbeta_score, roc_auc_score

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.crossval.scores_over_folds import scores_by, scores_over_folds
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.metrics.scores import FIELDS, score
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = ("calm", "glad", "cross")
TASK = Classification(LabelSet("mood", LABELS))
WITHOUT_CALM = Classification(LabelSet("mood", LABELS), ("calm",))
AVERAGES = ("macro_precision", "weighted_precision", "macro_f1", "weighted_f1", "macro_f05", "weighted_f05")


def scores_of(frame: pd.DataFrame) -> dict:
    return TASK.scores(predictions_of(frame))


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for fold, size in (("a", 30), ("b", 20), ("c", 40)):
        for split, speaker in (("test", fold), ("dev", "abc"[("abc".index(fold) + 1) % 3])):
            for _ in range(size):
                gold = str(rng.choice(LABELS, p=[0.6, 0.3, 0.1]))
                said = gold if rng.random() < 0.5 else str(rng.choice(LABELS))
                p_C = rng.dirichlet(np.ones(3))
                p_C = np.roll(p_C, LABELS.index(said) - int(p_C.argmax()))
                row = {"fold": fold, "split": split, "speaker": speaker, "gold": gold, "predicted": said}
                rows.append(row | {f"p_{label}": p for label, p in zip(LABELS, p_C, strict=True)})
    found = pd.DataFrame(rows)
    found["dialogue_id"] = [f"{row.fold}{number // 2}" for number, row in enumerate(found.itertuples())]
    return found.assign(utterance_id=[str(number) for number in range(len(found))], turn=range(len(found)), text="")


def test_pooled_scores_are_those_of_all_test_turns_as_one_set(frame):
    test = frame[frame["split"] == "test"]
    expected = score(test["gold"], test["predicted"], LABELS)
    pooled = scores_over_folds(frame, TASK, n_resamples=50)["pooled"]
    assert {name: pooled[name] for name in FIELDS} == {name: getattr(expected, name) for name in FIELDS}
    assert pooled["n"] == 90
    assert pooled["confusion"] == [list(row) for row in expected.confusion]


def test_fold_means_are_over_folds_of_any_size_and_differ_from_pooled(frame):
    found = scores_over_folds(frame, TASK, n_resamples=50)
    test = frame[frame["split"] == "test"]
    each = [scores_of(test[test["fold"] == name])["uar"] for name in "abc"]
    assert found["fold_mean"]["uar"]["values"] == each
    assert found["fold_mean"]["uar"]["mean"] == pytest.approx(np.mean(each))
    assert found["fold_mean"]["uar"]["std"] == pytest.approx(np.std(each, ddof=1))
    assert found["fold_mean"]["uar"]["mean"] != pytest.approx(found["pooled"]["uar"])


def test_intervals_over_folds_hold_the_pooled_score(frame):
    found = scores_over_folds(frame, TASK, n_resamples=200)
    assert found["interval_over"] == "folds"
    for name in (*FIELDS, *AVERAGES):
        interval = found["intervals"][name]
        assert interval["low"] <= found["pooled"][name] == interval["estimate"] <= interval["high"]


def test_speakers_and_dev_stand_apart(frame):
    found = scores_over_folds(frame, TASK, n_resamples=50)
    assert {name: row["n"] for name, row in found["speakers"].items()} == {"a": 30, "b": 20, "c": 40}
    assert found["dev"]["n"] == 90
    assert found["dev"]["confusion"] != found["pooled"]["confusion"]


def test_every_score_is_there_pooled_and_as_mean_of_folds(frame):
    found = scores_over_folds(frame, TASK, n_resamples=20)
    names = {"uar", "accuracy", "auc", *AVERAGES}
    assert names <= found["pooled"].keys()
    assert found["fold_mean"].keys() == names
    test = frame[frame["split"] == "test"]
    p_NC = test[[f"p_{label}" for label in LABELS]].to_numpy()
    gold_N = [LABELS.index(label) for label in test["gold"]]
    assert found["pooled"]["auc"] == pytest.approx(roc_auc_score(gold_N, p_NC, multi_class="ovr"))
    f05 = fbeta_score(test["gold"], test["predicted"], beta=0.5, average=None, labels=list(LABELS))
    assert [one["f05"] for one in found["pooled"]["per_class"].values()] == pytest.approx(list(f05))
    each = found["pooled"]["per_class"].values()
    assert found["pooled"]["uar"] == pytest.approx(np.mean([one["recall"] for one in each]))
    recalls, supports = zip(*((one["recall"], one["support"]) for one in each), strict=True)
    assert found["pooled"]["accuracy"] == pytest.approx(np.average(recalls, weights=supports))


def test_micro_f1_is_there_only_where_classes_are_left_out(frame):
    test = frame[frame["split"] == "test"]
    assert "micro_f1" not in scores_of(test)
    found = scores_over_folds(frame, WITHOUT_CALM, n_resamples=20)
    expected = f1_score(test["gold"], test["predicted"], average="micro", labels=["glad", "cross"])
    assert found["pooled"]["micro_f1"] == found["intervals"]["micro_f1"]["estimate"] == pytest.approx(expected)
    assert found["fold_mean"]["micro_f1"]["n"] == 3
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'clam'; did you mean 'calm'"):
        Classification(LabelSet("mood", LABELS), ("clam",))


def test_one_fold_has_intervals_over_its_dialogues_and_no_spread(frame):
    found = scores_over_folds(frame[frame["fold"] == "a"], TASK, n_resamples=50)
    assert found["interval_over"] == "dialogues"
    assert found["intervals"]["uar"]["low"] < found["pooled"]["uar"] < found["intervals"]["uar"]["high"]
    assert (found["fold_mean"]["uar"]["std"], found["fold_mean"]["uar"]["n"]) == (0.0, 1)


def test_a_fold_of_one_class_has_no_auc_and_is_not_averaged(frame):
    only = frame[~((frame["fold"] == "a") & (frame["split"] == "test") & (frame["gold"] != "calm"))]
    found = scores_over_folds(only, TASK, n_resamples=20)
    assert scores_of(only[(only["fold"] == "a") & (only["split"] == "test")])["auc"] is None
    assert found["fold_mean"]["auc"]["n"] == 2
    assert found["pooled"]["auc"] is not None


def test_groups_without_a_label_or_a_name_are_left_out(frame):
    test = frame[frame["split"] == "test"].copy()
    test.loc[test["speaker"] == "a", "gold"] = None
    table = predictions_of(test)
    groups = table.frame["speaker"].where(table.frame["speaker"] != "b")
    found = scores_by(table, groups, TASK)
    assert {name: row["n"] for name, row in found.items()} == {"c": 40}
    own = test[test["speaker"] == "c"]
    assert found["c"]["uar"] == score(own["gold"], own["predicted"], LABELS).uar


def test_a_further_metric_of_the_run_is_counted_pooled_per_fold_and_with_an_interval(frame, monkeypatch, tmp_path):
    (tmp_path / "misses.py").write_text("def misses(gold, predicted):\n    return float((gold != predicted).sum())\n")
    monkeypatch.chdir(tmp_path)
    found = scores_over_folds(frame, TASK, n_resamples=20, extra=["misses:misses"])
    test = frame[frame["split"] == "test"]
    wrong = test["gold"] != test["predicted"]
    assert found["pooled"]["misses"] == wrong.sum()
    assert found["fold_mean"]["misses"]["values"] == [wrong[test["fold"] == name].sum() for name in "abc"]
    assert found["intervals"]["misses"]["low"] < wrong.sum() < found["intervals"]["misses"]["high"]


@pytest.fixture
def value_frame(frame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    gold_NS = rng.normal(3, 1, size=(len(frame), 2))
    columns = {}
    for i, name in enumerate(("valence", "arousal")):
        columns[f"gold_{name}"] = gold_NS[:, i]
        columns[f"predicted_{name}"] = gold_NS[:, i] + rng.normal(scale=0.8, size=len(frame))
    turns = frame[["fold", "split", "speaker", "dialogue_id", "utterance_id", "turn", "text"]].assign(**columns)
    turns.loc[5, "gold_arousal"] = np.nan
    return turns


def test_values_are_pooled_over_folds_too(value_frame):
    task = Regression(("valence", "arousal"))
    found = scores_over_folds(value_frame, task, n_resamples=100)
    test = value_frame[value_frame["split"] == "test"]
    for name in task.names:
        error = (test[f"gold_{name}"] - test[f"predicted_{name}"]).abs()
        assert found["pooled"]["per_dimension"][name]["mae"] == pytest.approx(error.mean())
    each = [task.scores(predictions_of(test[test["fold"] == name]))["ccc"] for name in "abc"]
    assert found["fold_mean"]["ccc"]["values"] == each
    assert found["pooled"]["n"] == 90
    assert set(found["pooled"]) == {"n", "ccc", "pearson_r", "mae", "mse", "per_dimension"}
    assert found["intervals"]["ccc"]["low"] < found["pooled"]["ccc"] < found["intervals"]["ccc"]["high"]
    assert set(found["dimension_intervals"]) == {"valence", "arousal"}
    assert found["speakers"]["a"].keys() == {"n", "ccc", "pearson_r", "mae"}
    assert found["dev"]["mae"] != found["pooled"]["mae"]
