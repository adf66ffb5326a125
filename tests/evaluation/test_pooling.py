import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, fbeta_score, roc_auc_score

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.pooling import NAMES, pooled_scores, scores_by, scores_of
from dialogue_ser.metrics.averages import AVERAGES
from dialogue_ser.metrics.scores import score

LABELS = ("calm", "glad", "cross")


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
    return found


def test_pooled_scores_are_those_of_all_test_turns_as_one_set(frame):
    test = frame[frame["split"] == "test"]
    expected = score(test["gold"], test["predicted"], LABELS)
    pooled = pooled_scores(frame, LABELS, n_resamples=50)["pooled"]
    assert {name: pooled[name] for name in NAMES} == {name: getattr(expected, own) for name, own in NAMES.items()}
    assert pooled["n"] == 90
    assert pooled["confusion"] == [list(row) for row in expected.confusion]


def test_fold_means_are_over_folds_of_any_size_and_differ_from_pooled(frame):
    found = pooled_scores(frame, LABELS, n_resamples=50)
    test = frame[frame["split"] == "test"]
    each = [scores_of(test[test["fold"] == name], LABELS)["ua"] for name in "abc"]
    assert found["fold_mean"]["ua"]["values"] == each
    assert found["fold_mean"]["ua"]["mean"] == pytest.approx(np.mean(each))
    assert found["fold_mean"]["ua"]["std"] == pytest.approx(np.std(each, ddof=1))
    assert found["fold_mean"]["ua"]["mean"] != pytest.approx(found["pooled"]["ua"])


def test_intervals_over_folds_hold_the_pooled_score(frame):
    found = pooled_scores(frame, LABELS, n_resamples=200)
    assert found["interval_over"] == "folds"
    for name in (*NAMES, *AVERAGES):
        interval = found["intervals"][name]
        assert interval["low"] <= found["pooled"][name] == interval["estimate"] <= interval["high"]


def test_speakers_and_dev_stand_apart(frame):
    found = pooled_scores(frame, LABELS, n_resamples=50)
    assert {name: row["n"] for name, row in found["speakers"].items()} == {"a": 30, "b": 20, "c": 40}
    assert found["dev"]["n"] == 90
    assert found["dev"]["confusion"] != found["pooled"]["confusion"]


def test_every_score_is_there_pooled_and_as_mean_of_folds(frame):
    found = pooled_scores(frame, LABELS, n_resamples=20)
    names = {"ua", "wa", "auc", *AVERAGES}
    assert names <= found["pooled"].keys()
    assert found["fold_mean"].keys() == names
    test = frame[frame["split"] == "test"]
    p_NC = test[[f"p_{label}" for label in LABELS]].to_numpy()
    gold_N = [LABELS.index(label) for label in test["gold"]]
    assert found["pooled"]["auc"] == pytest.approx(roc_auc_score(gold_N, p_NC, multi_class="ovr"))
    f05 = fbeta_score(test["gold"], test["predicted"], beta=0.5, average=None, labels=list(LABELS))
    assert [one["f05"] for one in found["pooled"]["per_class"].values()] == pytest.approx(list(f05))
    assert found["pooled"]["macro_recall"] == found["pooled"]["ua"]
    assert found["pooled"]["weighted_recall"] == pytest.approx(found["pooled"]["wa"])


def test_micro_f1_is_there_only_where_classes_are_left_out(frame):
    test = frame[frame["split"] == "test"]
    assert "micro_f1" not in scores_of(test, LABELS)
    found = pooled_scores(frame, LABELS, n_resamples=20, leave_out=["calm"])
    expected = f1_score(test["gold"], test["predicted"], average="micro", labels=["glad", "cross"])
    assert found["pooled"]["micro_f1"] == found["intervals"]["micro_f1"]["estimate"] == pytest.approx(expected)
    assert found["fold_mean"]["micro_f1"]["n"] == 3
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'clam'; did you mean 'calm'"):
        scores_of(test, LABELS, ["clam"])


def test_one_fold_has_intervals_over_its_dialogues_and_no_spread(frame):
    found = pooled_scores(frame[frame["fold"] == "a"], LABELS, n_resamples=50)
    assert found["interval_over"] == "dialogues"
    assert found["intervals"]["ua"]["low"] < found["pooled"]["ua"] < found["intervals"]["ua"]["high"]
    assert (found["fold_mean"]["ua"]["std"], found["fold_mean"]["ua"]["n"]) == (0.0, 1)


def test_a_fold_of_one_class_has_no_auc_and_is_not_averaged(frame):
    only = frame[~((frame["fold"] == "a") & (frame["split"] == "test") & (frame["gold"] != "calm"))]
    found = pooled_scores(only, LABELS, n_resamples=20)
    assert scores_of(only[(only["fold"] == "a") & (only["split"] == "test")], LABELS)["auc"] is None
    assert found["fold_mean"]["auc"]["n"] == 2
    assert found["pooled"]["auc"] is not None


def test_groups_without_a_label_or_a_name_are_left_out(frame):
    test = frame[frame["split"] == "test"].copy()
    test.loc[test["speaker"] == "a", "gold"] = None
    groups = test["speaker"].where(test["speaker"] != "b")
    found = scores_by(test, groups, LABELS)
    assert {name: row["n"] for name, row in found.items()} == {"c": 40}
    own = test[test["speaker"] == "c"]
    assert found["c"]["ua"] == score(own["gold"], own["predicted"], LABELS).uar
