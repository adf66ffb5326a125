import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as reference_confusion
from sklearn.metrics import precision_recall_fscore_support

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import (
    UNLABELLED,
    class_indices,
    class_values,
    confusion_matrix,
    dialogue_confusions,
    ratio,
)

N_CLASSES = 4


def _turns(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    gold_N, predicted_N = rng.integers(0, N_CLASSES, n), rng.integers(0, N_CLASSES - 1, n)
    gold_N[::17] = UNLABELLED
    return gold_N, predicted_N, np.sort(rng.integers(0, 30, n))


def test_names_and_indices_mean_the_same_classes_and_every_missing_label_is_unlabelled() -> None:
    labels = ("calm", "glad")
    values = ["glad", 1, np.int64(0), None, float("nan"), UNLABELLED]
    assert class_indices(values, labels).tolist() == [1, 1, 0, UNLABELLED, UNLABELLED, UNLABELLED]


def test_all_values_that_are_no_label_stand_in_one_error() -> None:
    with pytest.raises(DialogueSerError) as caught:
        class_indices(["gladd", 2, -1, "gladd", "glad"], ("calm", "glad"))
    assert len(caught.value.problems) == 3
    assert "did you mean 'glad'" in caught.value.problems[0]


def test_rows_are_gold_and_columns_predicted_as_sklearns() -> None:
    gold_N, predicted_N, _ = _turns()
    labelled = gold_N >= 0
    expected = reference_confusion(gold_N[labelled], predicted_N[labelled], labels=range(N_CLASSES))
    np.testing.assert_array_equal(confusion_matrix(gold_N, predicted_N, N_CLASSES), expected)


def test_dialogue_confusions_sum_to_the_confusion_of_all_turns() -> None:
    gold_N, predicted_N, dialogue_N = _turns()
    each = dialogue_confusions(gold_N, predicted_N, dialogue_N, N_CLASSES)
    np.testing.assert_array_equal(each.sum(0), confusion_matrix(gold_N, predicted_N, N_CLASSES))
    for number in (0, 7, 29):
        own = dialogue_N == number
        np.testing.assert_array_equal(each[number], confusion_matrix(gold_N[own], predicted_N[own], N_CLASSES))


def test_a_dialogue_without_labelled_turns_is_all_zero_also_at_the_end() -> None:
    gold_N, dialogue_N = np.array([0, 1, UNLABELLED]), np.array([0, 0, 1])
    found = dialogue_confusions(gold_N, np.array([0, 0, 1]), dialogue_N, 2)
    assert found.tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 0]]]
    assert dialogue_confusions(gold_N[:0], gold_N[:0], gold_N[:0], 2).shape == (0, 2, 2)


def test_class_values_equal_sklearns_with_zero_for_what_never_occurs() -> None:
    gold_N, predicted_N, _ = _turns()
    labelled = gold_N >= 0
    expected = precision_recall_fscore_support(
        gold_N[labelled], predicted_N[labelled], labels=range(N_CLASSES), zero_division=0
    )
    found = class_values(confusion_matrix(gold_N, predicted_N, N_CLASSES))
    np.testing.assert_allclose(np.array(found), np.array(expected[:3]), atol=1e-12)
    assert found[0][N_CLASSES - 1] == 0  # never predicted


def test_a_ratio_of_nothing_is_zero_and_shapes_are_broadcast() -> None:
    assert ratio(np.array([[2.0], [0.0]]), np.array([4.0, 0.0])).tolist() == [[0.5, 0.0], [0.0, 0.0]]
