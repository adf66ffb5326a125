import numpy as np
import pandas as pd
import pytest

from dialogue_ser.evaluation.pooling import NAMES, pooled_scores, scores_of
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
                rows.append({"fold": fold, "split": split, "speaker": speaker, "gold": gold, "predicted": said})
    return pd.DataFrame(rows)


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
    for name in NAMES:
        interval = found["intervals"][name]
        assert interval["low"] <= found["pooled"][name] == interval["estimate"] <= interval["high"]


def test_speakers_and_dev_stand_apart(frame):
    found = pooled_scores(frame, LABELS, n_resamples=50)
    assert {name: row["n"] for name, row in found["speakers"].items()} == {"a": 30, "b": 20, "c": 40}
    assert found["dev"]["n"] == 90
    assert found["dev"]["confusion"] != found["pooled"]["confusion"]
