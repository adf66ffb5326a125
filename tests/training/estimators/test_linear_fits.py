"""Compare linear fits with the normal equations, and test the factor that turns scores into probabilities."""

import numpy as np
import pytest

from dialogue_ser.training.estimators.linear_fits import (
    EstimatorSettings,
    LinearWeights,
    class_fits,
    likeliest_scale,
    value_fits,
)

RIDGE = EstimatorSettings(name="ridge")


def rows(n: int = 40, dim: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and two values that follow from them, with noise."""
    rng = np.random.default_rng(seed)
    x_ND = rng.normal(2.0, 1.0, (n, dim))
    return x_ND, x_ND @ rng.normal(size=(dim, 2)) + 3 + rng.normal(0, 0.3, (n, 2))


def normal_equations(x_ND: np.ndarray, y_N: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Least squares with a penalty on the weights and none on the bias."""
    x, y = x_ND - x_ND.mean(0), y_N - y_N.mean()
    w = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
    return w, float(y_N.mean() - x_ND.mean(0) @ w)


@pytest.mark.parametrize("dim", [5, 90], ids=["narrow", "wide"])
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_ridge_is_the_solution_of_the_normal_equations(c, dim):
    x_ND, gold_NS = rows(dim=dim)
    [fit] = value_fits(x_ND, gold_NS, RIDGE, [c])
    for s in range(2):
        weight, bias = normal_equations(x_ND, gold_NS[:, s], 1 / c)
        np.testing.assert_allclose(fit.weight_SD[s], weight, rtol=1e-7, atol=1e-9)
        assert fit.bias_S[s] == pytest.approx(bias, rel=1e-7)


def test_each_dimension_is_learnt_from_the_turns_that_have_it():
    x_ND, gold_NS = rows()
    gold_NS[:15, 0] = gold_NS[30:, 1] = np.nan
    [fit] = value_fits(x_ND, gold_NS, RIDGE, [1.0])
    for s in range(2):
        is_known = np.isfinite(gold_NS[:, s])
        weight, bias = normal_equations(x_ND[is_known], gold_NS[is_known, s], 1.0)
        np.testing.assert_allclose(fit.weight_SD[s], weight, rtol=1e-7)
        assert fit.bias_S[s] == pytest.approx(bias, rel=1e-7)


def test_a_dimension_without_any_gold_is_always_zero():
    x_ND, gold_NS = rows()
    gold_NS[:, 1] = np.nan
    [fit] = value_fits(x_ND, gold_NS, RIDGE, [1.0])
    assert (fit.scores(x_ND)[:, 1] == 0).all()
    assert np.abs(fit.weight_SD[0]).min() > 0


def test_candidates_come_in_their_order_and_a_larger_c_fits_train_closer():
    x_ND, gold_NS = rows()
    fits = list(value_fits(x_ND, gold_NS, RIDGE, [1e-3, 1.0, 1e3]))
    errors = [float(((fit.scores(x_ND) - gold_NS) ** 2).mean()) for fit in fits]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[2]


def test_scaled_weights_give_scaled_scores():
    x_ND, _ = rows()
    weights = LinearWeights(weight_SD=np.arange(15.0).reshape(3, 5), bias_S=np.array([1.0, -2.0, 0.5]))
    np.testing.assert_allclose(weights.scaled(2.5).scores(x_ND), 2.5 * weights.scores(x_ND))
    np.testing.assert_allclose(weights.scores(x_ND)[0], [w @ x_ND[0] + b for w, b in zip(
        weights.weight_SD, weights.bias_S, strict=True)])  # fmt: skip


def test_no_other_scale_gives_the_labels_a_higher_likelihood():
    rng = np.random.default_rng(1)
    gold_N = rng.integers(0, 3, 200)
    scores_NC = rng.normal(0, 0.2, (200, 3)) + 0.15 * np.eye(3)[gold_N]

    def likelihood(factor: float) -> float:
        z = factor * scores_NC
        return float(np.mean(z[np.arange(200), gold_N] - np.log(np.exp(z).sum(-1))))

    best = likeliest_scale(scores_NC, gold_N)
    assert all(likelihood(best) > likelihood(best * other) for other in (0.5, 0.9, 1.1, 2.0))


@pytest.mark.parametrize("name", ["linear-svm", "logistic"])
def test_a_class_that_is_not_in_train_never_has_the_highest_score(name):
    x_ND, values_NS = rows(60)
    gold_N = np.where(values_NS[:, 0] > np.median(values_NS[:, 0]), 2, 0)
    [fit] = class_fits(x_ND, gold_N, 3, EstimatorSettings(name=name), [1.0])
    scores_NC = fit.scores(x_ND)
    assert set(scores_NC.argmax(1)) == {0, 2}
    assert np.mean(scores_NC.argmax(1) == gold_N) > 0.9
