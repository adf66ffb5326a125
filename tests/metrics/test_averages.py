import numpy as np
import pytest
from sklearn.metrics import f1_score, fbeta_score, precision_score, recall_score

from dialogue_ser.errors import ConfigError
from dialogue_ser.metrics.averages import (
    accuracy,
    class_score,
    class_scores,
    f_beta,
    left_out_indices,
    macro,
    micro_f1,
    weighted,
)
from dialogue_ser.metrics.confusion import confusion_matrix

N_CLASSES = 5
AVERAGES = {"macro": macro, "weighted": weighted}


def _random(seed: int, n: int = 300, never: int | None = None):
    rng = np.random.default_rng(seed)
    gold_N = rng.choice(N_CLASSES, size=n, p=[0.5, 0.2, 0.05, 0.05, 0.2])
    predicted_N = np.where(rng.random(n) < 0.6, gold_N, rng.choice(N_CLASSES, size=n))
    predicted_N[predicted_N == never] = 0
    return gold_N, predicted_N


@pytest.mark.parametrize(("seed", "never"), [(0, None), (1, None), (2, 3)])
def test_every_average_equals_sklearns(seed, never):
    gold_N, predicted_N = _random(seed, never=never)
    confusion = confusion_matrix(gold_N, predicted_N, N_CLASSES)
    own = {"labels": range(N_CLASSES), "zero_division": 0}
    for how, average in AVERAGES.items():
        expected = {
            "precision": precision_score(gold_N, predicted_N, average=how, **own),
            "recall": recall_score(gold_N, predicted_N, average=how, **own),
            "f1": f1_score(gold_N, predicted_N, average=how, **own),
            "f05": fbeta_score(gold_N, predicted_N, beta=0.5, average=how, **own),
        }
        for what, value in expected.items():
            assert average(confusion, what) == pytest.approx(value, abs=1e-12)


def test_accuracy_is_the_weighted_recall_and_the_share_of_right_turns():
    gold_N, predicted_N = _random(5)
    confusion = confusion_matrix(gold_N, predicted_N, N_CLASSES)
    assert accuracy(confusion) == pytest.approx((gold_N == predicted_N).mean(), abs=1e-12)
    assert accuracy(confusion) == pytest.approx(weighted(confusion, "recall"), abs=1e-12)


def test_f05_per_class_equals_sklearns_and_lies_nearer_to_precision():
    gold_N, predicted_N = _random(3)
    expected = fbeta_score(gold_N, predicted_N, beta=0.5, average=None, labels=range(N_CLASSES))
    found = class_scores(confusion_matrix(gold_N, predicted_N, N_CLASSES))["f05"]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # P 1/2, R 1: (1 + 1/4) · 1/2 / (1/8 + 1) = 5/9; the other way round 5/6
    assert f_beta([0.5, 1.0, 0.0], [1.0, 0.5, 0.0], 0.5).tolist() == pytest.approx([5 / 9, 5 / 6, 0.0])


def test_many_confusions_are_averaged_at_once_as_one_by_one():
    stacked = np.stack([confusion_matrix(*_random(seed), N_CLASSES) for seed in range(3)])
    for average in AVERAGES.values():
        for name in class_scores(stacked):
            found = average(stacked, name)
            assert found.tolist() == pytest.approx([float(average(one, name)) for one in stacked])
    assert weighted(np.zeros((2, 3, 3)), "f05").tolist() == [0.0, 0.0]
    assert accuracy(np.zeros((2, 3, 3))).tolist() == [0.0, 0.0]


def test_one_score_per_class_is_bit_for_bit_that_of_all_four():
    stacked = np.stack([confusion_matrix(*_random(seed), N_CLASSES) for seed in range(3)])
    for name, values in class_scores(stacked).items():
        assert class_score(stacked, name).tobytes() == values.tobytes()


@pytest.mark.parametrize("leave_out", [(), (0,), (0, 3)])
def test_micro_f1_without_classes_equals_sklearns(leave_out):
    gold_N, predicted_N = _random(4)
    kept = [c for c in range(N_CLASSES) if c not in leave_out]
    expected = f1_score(gold_N, predicted_N, average="micro", labels=kept)
    confusion = confusion_matrix(gold_N, predicted_N, N_CLASSES)
    assert micro_f1(confusion, leave_out) == pytest.approx(expected, abs=1e-12)
    if not leave_out:
        assert micro_f1(confusion) == pytest.approx((gold_N == predicted_N).mean())


def test_hand_computed_micro_f1_without_the_class_without_emotion():
    # 0 none, 1 joy, 2 anger. Joy found once, missed once (said none), anger found once, a false alarm of joy on none.
    confusion = np.array([[50, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert micro_f1(confusion, [0]) == pytest.approx(2 * 2 / (3 + 3))
    assert micro_f1(np.diag([7, 0, 0]), [0]) == 0.0


def test_left_out_classes_must_be_some_of_the_classes():
    assert left_out_indices(["none"], ["joy", "none"]) == (1,)
    with pytest.raises(ConfigError, match="unknown label 'no'; did you mean 'none'"):
        left_out_indices(["no"], ["joy", "none"])
    with pytest.raises(ConfigError, match="names every class"):
        left_out_indices(["joy", "none"], ["joy", "none"])
