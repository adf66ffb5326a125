import subprocess
import sys

import numpy as np
import pytest

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.roc import macro_auc, roc_curve, roc_curves

LABELS = ("calm", "glad", "cross")


def _random(seed: int, n: int = 200, digits: int = 16):
    rng = np.random.default_rng(seed)
    gold_N = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    logits_NC = rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[gold_N]
    p_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(-1, keepdims=True)
    return gold_N, np.round(p_NC, digits)


@pytest.mark.parametrize(("seed", "digits"), [(0, 16), (1, 16), (2, 1), (3, 0)])  # few digits: many ties
def test_a_curve_has_a_point_for_every_score_that_occurs(seed, digits):
    gold_N, p_NC = _random(seed, digits=digits)
    curves = roc_curves(p_NC, gold_N, LABELS)
    for c, curve in enumerate(curves.values()):
        score_N, is_positive_N = p_NC[:, c], gold_N == c
        reached_TN = score_N >= np.unique(score_N)[::-1, None]
        false_rate, true_rate = (reached_TN[:, side].mean(axis=1) for side in (~is_positive_N, is_positive_N))
        np.testing.assert_allclose(curve.false_positive_rate, [0, *false_rate], atol=1e-12)
        np.testing.assert_allclose(curve.true_positive_rate, [0, *true_rate], atol=1e-12)
        higher_PN = score_N[is_positive_N, None] - score_N[~is_positive_N]
        assert curve.auc == pytest.approx(np.mean((np.sign(higher_PN) + 1) / 2), abs=1e-12)
    assert macro_auc(curves) == pytest.approx(np.mean([curve.auc for curve in curves.values()]))


def test_the_area_is_how_often_a_turn_of_the_class_scores_higher():
    score_N, is_positive_N = np.array([0.9, 0.4, 0.4, 0.1, 0.7]), np.array([True, True, False, False, False])
    pairs = [(p, n) for p in score_N[is_positive_N] for n in score_N[~is_positive_N]]
    expected = np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs])
    assert roc_curve(score_N, is_positive_N).auc == pytest.approx(expected)


def test_a_class_that_never_or_alone_occurs_has_no_curve():
    gold_N, p_NC = _random(0)
    gold_N[gold_N == 2] = 0
    curves = roc_curves(p_NC, gold_N, LABELS)
    assert curves["cross"] is None
    assert macro_auc(curves) == pytest.approx((curves["calm"].auc + curves["glad"].auc) / 2)
    assert macro_auc(roc_curves(p_NC, np.zeros(200, dtype=np.int64), LABELS)) is None


def test_unlabelled_turns_change_nothing_and_broken_probabilities_are_refused():
    gold_N, p_NC = _random(0)
    more = roc_curves(np.concatenate([p_NC, [[np.nan] * 3]]), np.append(gold_N, -100), LABELS)
    assert macro_auc(more) == macro_auc(roc_curves(p_NC, gold_N, LABELS))
    with pytest.raises(DialogueSerError, match="not all finite"):
        roc_curves(np.full((1, 3), np.nan), np.array([0]), LABELS)


def test_scikit_learn_is_imported_when_the_first_curve_is_made():
    code = "import sys, dialogue_ser.metrics.roc; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
