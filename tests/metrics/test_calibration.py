import numpy as np
import pytest
from sklearn.metrics import log_loss

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.calibration import calibration


def test_ece_equals_the_hand_computed_value() -> None:
    # Bin (0.5, 0.75]: confidences 0.7 0.6, one right: |0.5 − 0.65|; bin (0.75, 1]: 0.9 0.8, both right: |1 − 0.85|.
    p = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    result = calibration(p, np.array([0, 0, 0, 1]), n_bins=4)
    assert result.ece == pytest.approx(0.15)
    assert result.mce == pytest.approx(0.15)
    assert [b.n for b in result.bins] == [0, 0, 2, 2]
    assert result.brier == pytest.approx(2 * (0.09 + 0.36 + 0.01 + 0.04) / 4)


def test_a_model_that_says_what_it_knows_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=40_000)
    gold = (rng.random((40_000, 1)) > p.cumsum(-1)).sum(-1).clip(max=3)
    assert calibration(p, gold).ece < 0.015
    sharpened = p**3 / (p**3).sum(-1, keepdims=True)
    assert calibration(sharpened, gold).ece > 0.1


def test_log_loss_equals_sklearns_and_unlabelled_turns_are_left_out() -> None:
    rng = np.random.default_rng(1)
    p, gold = rng.dirichlet(np.ones(3), size=50), rng.integers(0, 3, 50)
    result = calibration(p, gold)
    assert result.log_loss == pytest.approx(log_loss(gold, p, labels=[0, 1, 2]))
    assert calibration(np.vstack([p, p[:1]]), np.append(gold, -100)) == result


def test_bins_hold_every_turn_also_at_the_edges() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    bins = calibration(p, np.array([0, 1]), n_bins=2).bins
    assert [b.n for b in bins] == [1, 1]


@pytest.mark.parametrize("rows", [[[2.0, -1.0]], [[0.7, 0.7]], [[np.nan, 1.0]]])
def test_logits_are_refused(rows: list) -> None:
    with pytest.raises(DialogueSerError, match="give softmax outputs"):
        calibration(np.array(rows), np.array([0]))


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(DialogueSerError, match="no labelled turn"):
        calibration(np.array([[0.5, 0.5]]), np.array([-100]))
