import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
)

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import class_values, confusion_matrix
from dialogue_ser.metrics.scores import FIELDS, score
from dialogue_ser.metrics.table import METRICS

LABELS = ("neutral", "surprise", "fear", "sadness", "joy")


def _random(seed: int, n: int = 400) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    gold = rng.choice(LABELS, size=n, p=[0.5, 0.2, 0.05, 0.05, 0.2])
    predicted = np.where(rng.random(n) < 0.6, gold, rng.choice(LABELS, size=n))
    return gold.tolist(), predicted.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_every_score_equals_sklearns(seed: int) -> None:
    gold, predicted = _random(seed)
    result = score(gold, predicted, LABELS)
    all_labels = {"labels": list(LABELS), "zero_division": 0}
    assert result.weighted_f1 == pytest.approx(f1_score(gold, predicted, average="weighted", **all_labels), abs=1e-12)
    assert result.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro", **all_labels), abs=1e-12)
    assert result.accuracy == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)
    assert result.uar == pytest.approx(recall_score(gold, predicted, average="macro", **all_labels), abs=1e-12)
    expected = np.array(precision_recall_fscore_support(gold, predicted, **all_labels))
    got = [[v.precision, v.recall, v.f1, v.support] for v in result.per_class.values()]
    np.testing.assert_allclose(np.array(got).T, expected, atol=1e-12)


def test_uar_counts_classes_absent_from_gold_where_balanced_accuracy_drops_them() -> None:
    gold, predicted = ["joy", "joy", "neutral", "neutral"], ["joy", "fear", "neutral", "neutral"]
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        dropped = balanced_accuracy_score(gold, predicted)
    assert dropped == pytest.approx(0.75)
    assert score(gold, predicted, LABELS).uar == pytest.approx(1.5 / 5)


def test_hand_computed_weighted_f1() -> None:
    # joy: P 1/2, R 1/2, F1 1/2; anger: P 1/2, R 1/1, F1 2/3; fear: never. (2·1/2 + 1·2/3 + 1·0) / 4
    result = score(["joy", "joy", "anger", "fear"], ["joy", "anger", "anger", "joy"], ["joy", "anger", "fear"])
    assert result.weighted_f1 == pytest.approx((1 + 2 / 3) / 4)
    assert result.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    assert result.per_class["fear"].f1 == 0


def test_unlabelled_turns_are_left_out_however_they_are_written() -> None:
    gold, predicted = _random(1)
    expected = score(gold, predicted, LABELS)
    for missing in (None, float("nan"), -100):
        assert score([*gold, missing], [*predicted, "fear"], LABELS) == expected


def test_indices_and_names_give_the_same_scores() -> None:
    gold, predicted = _random(2)
    indices = [[LABELS.index(x) for x in values] for values in (gold, predicted)]
    assert score(*indices, LABELS) == score(gold, predicted, LABELS)


def test_all_unknown_labels_stand_in_one_error_with_the_nearest_match() -> None:
    with pytest.raises(DialogueSerError) as error:
        score(["joyful", "angry!", "joyful", "fear"], ["fear"] * 4, LABELS)
    assert len(error.value.problems) == 2
    assert "'joy'" in error.value.problems[0]


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        (["joy"], ["joy", "joy"], "one per turn"),
        ([None, None], ["joy", "joy"], "no labelled turn"),
        (["joy", "joy"], ["joy", None], "no prediction"),
    ],
)
def test_what_cannot_be_scored_is_refused(gold: list, predicted: list, message: str) -> None:
    with pytest.raises(DialogueSerError, match=message):
        score(gold, predicted, LABELS)


def test_stacked_confusions_give_the_scores_of_each_one() -> None:
    stack = []
    for seed in range(3):
        gold, predicted = (np.array([LABELS.index(x) for x in values]) for values in _random(seed))
        stack.append(confusion_matrix(gold, predicted, 5))
    together = {name: METRICS[name].of_statistic(np.stack(stack)) for name in FIELDS}
    f1 = class_values(np.stack(stack))[2]
    for i, one in enumerate(stack):
        for name in FIELDS:
            assert together[name][i] == METRICS[name].of_statistic(one)
        np.testing.assert_array_equal(f1[i], class_values(one)[2])


def test_to_dict_holds_the_documented_json_values() -> None:
    values = score(["joy"], ["joy"], LABELS).to_dict()
    assert set(values) == {"n", "weighted_f1", "accuracy", "uar", "macro_f1", "per_class", "confusion"}
    expected = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1, "predicted": 1}
    assert values["per_class"]["joy"] == expected
