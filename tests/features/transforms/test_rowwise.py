import numpy as np
from scipy import stats
from sklearn.preprocessing import QuantileTransformer

from dialogue_ser.features.transforms import build_transform


def matrix(rows):
    return np.stack(list(rows.values()))


def test_impute_fills_the_train_median_and_flags_what_was_missing_in_train(talks, rows_for) -> None:
    rows = rows_for(talks)
    keys = list(rows)
    for key in keys[:3]:
        rows[key][1] = np.nan
    for key in keys:
        rows[key][3] = np.nan
    median = np.nanmedian(matrix(rows)[:, 1])
    new = build_transform("impute").fit(rows, talks).apply(rows, talks)
    assert matrix(new).shape == (40, 6)
    np.testing.assert_allclose(new[keys[0]], [*rows[keys[0]][[0]], median, rows[keys[0]][2], 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(new[keys[5]][4:], [0, 1])
    assert np.isfinite(matrix(new)).all()


def test_standardise_gives_mean_0_and_deviation_1_and_survives_constant_columns(talks, rows_for) -> None:
    rows = rows_for(talks)
    for row in rows.values():
        row[2] = 0.1
    fitted = build_transform("standardise").fit(rows, talks)
    new = matrix(fitted.apply(rows, talks))
    np.testing.assert_allclose(new.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(new.std(0), [1, 1, 0, 1], atol=1e-6)
    other = fitted.apply({"d0_utt0": np.array([0, 0, 99, 0], np.float32)}, talks)
    assert other["d0_utt0"][2] == 0


def test_standardise_ignores_missing_values_and_leaves_them(talks, rows_for) -> None:
    rows = rows_for(talks)
    rows["d0_utt0"][0] = np.nan
    seen = matrix(rows)[1:, 0]
    new = matrix(build_transform("standardise").fit(rows, talks).apply(rows, talks))
    assert np.isnan(new[0, 0])
    np.testing.assert_allclose(new[1:, 0], (seen - seen.mean()) / seen.std(), rtol=1e-5, atol=1e-6)


def test_rank_and_quantile_gaussian_agree_with_scikit_learn(talks, rows_for) -> None:
    rows = rows_for(talks)
    for key in list(rows)[:7]:
        rows[key][1] = 2.0  # ties
    x = matrix(rows).astype(np.float64)
    reference = QuantileTransformer(n_quantiles=40).fit(x)
    new = matrix(build_transform("rank").fit(rows, talks).apply(rows, talks))
    np.testing.assert_allclose(new, 2 * reference.transform(x) - 1, atol=1e-6)
    gaussian = matrix(build_transform("quantile-gaussian").fit(rows, talks).apply(rows, talks))
    inside = np.abs(new) < 0.9
    np.testing.assert_allclose(gaussian[inside], stats.norm.ppf((new[inside] + 1) / 2), atol=1e-4)
    assert np.abs(gaussian).max() < 3


def test_rank_of_a_constant_column_is_0_and_extremes_stay_in_range(talks, rows_for) -> None:
    rows = rows_for(talks)
    for row in rows.values():
        row[0] = 5.0
    fitted = build_transform("rank").fit(rows, talks)
    new = fitted.apply({"d0_utt0": np.array([5, 1e9, -1e9, np.nan], np.float32)}, talks)["d0_utt0"]
    np.testing.assert_allclose(new[:3], [0, 1, -1])
    assert np.isnan(new[3])


def test_l2_gives_unit_length_and_keeps_zero(talks, rows_for) -> None:
    new = (
        build_transform("l2")
        .fit(rows_for(talks), talks)
        .apply({"a": np.array([3, 4, 0, 0], np.float32), "b": np.zeros(4, np.float32)}, talks)
    )
    np.testing.assert_allclose(new["a"], [0.6, 0.8, 0, 0], rtol=1e-6)
    assert not new["b"].any()


def test_log_is_odd_and_monotone(talks, rows_for) -> None:
    new = build_transform("log").fit(rows_for(talks), talks).apply({"a": np.array([-9, 0, 1, 9], np.float32)}, talks)
    np.testing.assert_allclose(new["a"], [-np.log(10), 0, np.log(2), np.log(10)], rtol=1e-6)
