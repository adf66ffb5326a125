import numpy as np
import pytest
from scipy.stats import pearsonr

from dialogue_ser.metrics.agreement import N_GOLD_SUMS, SUMS, ccc, dialogue_moments, mae, mse, pearson_r
from dialogue_ser.metrics.table import METRICS

OF_VALUES = {"ccc": ccc, "pearson_r": pearson_r, "mae": mae, "mse": mse}
NAN = float("nan")


def _turns(seed: int = 0, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gold and predicted values of three dimensions, some gold missing; dialogue of every turn."""
    rng = np.random.default_rng(seed)
    gold_NS = rng.normal(3.0, 0.7, size=(n, 3))
    predicted_NS = 0.5 * gold_NS + rng.normal(1.4, [0.3, 0.6, 1.2], size=(n, 3))
    gold_NS[rng.random(gold_NS.shape) < 0.15] = NAN
    return gold_NS, predicted_NS, np.sort(np.append(np.arange(20), rng.integers(0, 20, n - 20)))


def _by_loop(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """One dimension, written out in sums over turns."""
    pairs = [(float(g), float(p)) for g, p in zip(gold, predicted, strict=True) if not np.isnan(g)]
    n = len(pairs)
    mean_g, mean_p = sum(g for g, _ in pairs) / n, sum(p for _, p in pairs) / n
    var_g, var_p = sum((g - mean_g) ** 2 for g, _ in pairs) / n, sum((p - mean_p) ** 2 for _, p in pairs) / n
    covariance = sum((g - mean_g) * (p - mean_p) for g, p in pairs) / n
    return {
        "ccc": 2 * covariance / (var_g + var_p + (mean_g - mean_p) ** 2),
        "pearson_r": covariance / (var_g * var_p) ** 0.5,
        "mae": sum(abs(g - p) for g, p in pairs) / n,
        "mse": sum((g - p) ** 2 for g, p in pairs) / n,
    }


def _all_at_once(gold: list[float], predicted: list[float]) -> dict[str, float]:
    moments = dialogue_moments(np.array(gold)[:, None], np.array(predicted)[:, None], np.zeros(len(gold), dtype=int))
    return {name: float(function(moments.sum(0))[0]) for name, function in OF_VALUES.items()}


@pytest.mark.parametrize("seed", range(3))
def test_every_score_equals_a_plain_loop_in_each_dimension(seed: int) -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(seed)
    moments = dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0)
    for s in range(3):
        for name, expected in _by_loop(gold_NS[:, s], predicted_NS[:, s]).items():
            assert OF_VALUES[name](moments)[s] == pytest.approx(expected, abs=1e-12)


def test_pearson_r_equals_scipys() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(3)
    found = pearson_r(dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0))
    for s in range(3):
        known = ~np.isnan(gold_NS[:, s])
        assert found[s] == pytest.approx(pearsonr(gold_NS[known, s], predicted_NS[known, s]).statistic, abs=1e-12)


def test_ccc_by_hand() -> None:
    # gold 1 2 3, predicted 2 2 5: means 2 and 3, variances 2/3 and 2, covariance 1: 2 / (2/3 + 2 + 1)
    assert _all_at_once([1, 2, 3], [2, 2, 5])["ccc"] == pytest.approx(6 / 11)
    assert _all_at_once([1, 2, 3], [3, 2, 1])["ccc"] == pytest.approx(-1.0)


def test_perfect_predictions_agree_wholly_without_error() -> None:
    found = _all_at_once([1.1, 2.7, 3.3], [1.1, 2.7, 3.3])
    assert found == {"ccc": pytest.approx(1.0), "pearson_r": pytest.approx(1.0), "mae": 0.0, "mse": 0.0}


@pytest.mark.parametrize("constant", [2.0, 0.1 + 0.2, 1e6 + 0.1])
def test_constant_predictions_agree_not_at_all_and_have_their_errors(constant: float) -> None:
    found = _all_at_once([1.0, 2.0, 3.5, 4.1], [constant] * 4)
    assert (found["ccc"], found["pearson_r"]) == (0.0, 0.0)
    assert found["mae"] == pytest.approx(np.abs(np.array([1.0, 2.0, 3.5, 4.1]) - constant).mean())


def test_a_constant_agrees_by_exactly_nothing_in_every_resample() -> None:
    gold_NS, _, dialogue_N = _turns(8)
    constant_NS = np.full(gold_NS.shape, 2.9)
    moments = dialogue_moments(gold_NS, constant_NS, dialogue_N)
    weights = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), size=200)
    resampled = np.einsum("rn,nsm->rsm", weights, moments)
    assert (ccc(resampled) == 0).all()
    assert (pearson_r(resampled) == 0).all()


def test_constant_gold_gives_zero_instead_of_a_division_by_nothing() -> None:
    found = _all_at_once([0.3] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (found["ccc"], found["pearson_r"]) == (0.0, 0.0)
    both = _all_at_once([0.3] * 5, [0.3] * 5)
    assert both == {"ccc": 0.0, "pearson_r": 0.0, "mae": 0.0, "mse": 0.0}


def test_turns_without_gold_count_nowhere_whatever_is_predicted_there() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(1)
    wild_NS = np.where(np.isnan(gold_NS), 1e9, predicted_NS)
    np.testing.assert_array_equal(
        dialogue_moments(gold_NS, wild_NS, dialogue_N), dialogue_moments(gold_NS, predicted_NS, dialogue_N)
    )
    n = dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0)[:, 0]
    assert n.tolist() == (~np.isnan(gold_NS)).sum(0).tolist()


def test_a_dimension_without_any_gold_scores_zero() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(1)
    gold_NS[:, 1] = NAN
    moments = dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0)
    assert [function(moments)[1] for function in OF_VALUES.values()] == [0.0] * 4
    assert np.isfinite([function(moments) for function in OF_VALUES.values()]).all()


@pytest.mark.parametrize("offset", [1e6, -1e6])
def test_a_scale_far_from_zero_keeps_the_digits(offset: float) -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(2)
    expected = dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0)
    found = dialogue_moments(gold_NS + offset, predicted_NS + offset, dialogue_N).sum(0)
    for function in OF_VALUES.values():
        np.testing.assert_allclose(function(found), function(expected), rtol=1e-8)


def test_resampled_dialogues_give_by_sums_what_their_turns_give_computed_again() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(4)
    moments = dialogue_moments(gold_NS, predicted_NS, dialogue_N)
    drawn = np.random.default_rng(0).integers(0, 20, size=(10, 20))
    weights = np.stack([np.bincount(row, minlength=20) for row in drawn])
    by_sums = np.einsum("rn,nsm->rsm", weights, moments)
    for row, sums in zip(drawn, by_sums, strict=True):
        turns = np.concatenate([np.flatnonzero(dialogue_N == number) for number in row])
        for s in range(3):
            again = _by_loop(gold_NS[turns, s], predicted_NS[turns, s])
            for name, function in OF_VALUES.items():
                assert function(sums)[s] == pytest.approx(again[name], abs=1e-10)


def test_many_resamples_at_once_equal_one_by_one() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(5)
    moments = dialogue_moments(gold_NS, predicted_NS, dialogue_N)
    for function in OF_VALUES.values():
        np.testing.assert_array_equal(function(moments), np.stack([function(one) for one in moments]))


def test_the_first_sums_follow_from_gold_alone() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(6)
    a, b = (dialogue_moments(gold_NS, p, dialogue_N) for p in (predicted_NS, predicted_NS[::-1]))
    np.testing.assert_array_equal(a[..., :N_GOLD_SUMS], b[..., :N_GOLD_SUMS])
    assert all((a[..., i] != b[..., i]).any() for i in range(N_GOLD_SUMS, len(SUMS)))


def test_the_table_takes_the_mean_over_dimensions() -> None:
    gold_NS, predicted_NS, dialogue_N = _turns(7)
    moments = dialogue_moments(gold_NS, predicted_NS, dialogue_N).sum(0)
    for name in OF_VALUES:
        expected = np.mean([_by_loop(gold_NS[:, s], predicted_NS[:, s])[name] for s in range(3)])
        assert float(METRICS[name].of_statistic(moments)) == pytest.approx(expected, abs=1e-12)


def test_no_turn_at_all_gives_no_dialogue() -> None:
    empty = np.zeros((0, 2))
    assert dialogue_moments(empty, empty, np.zeros(0, dtype=int)).shape == (0, 2, 7)
