import numpy as np
import pytest
from scipy import stats

from dialogue_ser.features.transforms import TRANSFORMS, build_transform


def test_speaker_zscore_normalises_each_speaker_of_each_dialogue(talks, rows_for) -> None:
    rows = rows_for(talks)
    new = build_transform("speaker-zscore").fit(rows, talks).apply(rows, talks)
    ross = np.stack([new[f"d2_utt{i}"] for i in range(4)])
    np.testing.assert_allclose(ross.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(ross.std(0), 1, atol=1e-5)
    x = np.stack(list(rows.values()))
    np.testing.assert_allclose(new["d2_utt7"], (rows["d2_utt7"] - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    assert TRANSFORMS["speaker-zscore"].is_causal is False


@pytest.mark.parametrize("name", ["speaker-zscore", "corpus-speaker-zscore", "corpus-speaker-gaussian"])
def test_a_feature_that_is_constant_in_train_never_reaches_the_model_unscaled(talks, dialogue, rows_for, name) -> None:
    rows = rows_for(talks)
    for row in rows.values():
        row[1] = 5.0
    fitted = build_transform(name).fit(rows, talks)
    few = [dialogue(["x", "y"], name="few", speakers=["New", "New"])]  # too few turns for a scale of their own
    values = {"few_utt0": np.array([3, 500, 3, 3], np.float32), "few_utt1": np.array([3, np.nan, 3, 3], np.float32)}
    new = fitted.apply(values, few)
    assert new["few_utt0"][1] == 0
    assert np.isnan(new["few_utt1"][1])
    many = [dialogue(["x"] * 4, name="many", speakers=["New"] * 4)]
    same = {f"many_utt{i}": np.array([i, 500, i, i], np.float32) for i in range(4)}
    assert all(row[1] == 0 for row in fitted.apply(same, many).values())


def test_corpus_speaker_zscore_normalises_each_speaker_over_all_dialogues_given(talks, rows_for) -> None:
    rows = rows_for(talks)
    fitted = build_transform("corpus-speaker-zscore").fit(rows, talks)
    new = fitted.apply(rows, talks)
    mona = np.stack([new[f"d{i}_utt7"] for i in range(5)])  # one turn a dialogue
    np.testing.assert_allclose(mona.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(mona.std(0), 1, atol=1e-5)
    shifted = {key: row + (100 if key.endswith("utt7") else 0) for key, row in rows.items()}
    np.testing.assert_allclose(fitted.apply(shifted, talks)["d0_utt7"], new["d0_utt7"], rtol=1e-3, atol=1e-4)
    assert TRANSFORMS["corpus-speaker-zscore"].is_transductive is True
    assert TRANSFORMS["standardise"].is_transductive is False


def test_corpus_speaker_gaussian_maps_ranks_among_a_speakers_turns_to_a_normal_distribution(talks, rows_for) -> None:
    rows = rows_for(talks)
    fitted = build_transform("corpus-speaker-gaussian").fit(rows, talks)
    new = fitted.apply(rows, talks)
    mona = [f"d{i}_utt7" for i in range(5)]  # one turn a dialogue
    order = np.argsort([rows[key][2] for key in mona])
    found = [float(new[mona[i]][2]) for i in order]
    np.testing.assert_allclose(found, stats.norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9]), atol=1e-6)
    wild = {**rows, mona[order[-1]]: rows[mona[order[-1]]] + 1000}  # the highest goes higher: nothing changes
    assert all(np.array_equal(fitted.apply(wild, talks)[key][2], new[key][2]) for key in rows)
    assert TRANSFORMS["corpus-speaker-gaussian"].is_transductive is True


def test_corpus_speaker_gaussian_takes_ties_together_leaves_gaps_and_scales_rare_speakers_by_train(dialogue) -> None:
    talk = [dialogue(["x"] * 6, name="d", speakers=["Ann"] * 4 + ["Bo"] * 2)]
    values = [[1, 5], [1, 5], [np.nan, 5], [4, 5], [2, 1], [3, 9]]
    rows = {f"d_utt{i}": np.array(row, np.float32) for i, row in enumerate(values)}
    fitted = build_transform("corpus-speaker-gaussian").fit(rows, talk)
    new = np.stack(list(fitted.apply(rows, talk).values()))
    third = stats.norm.ppf(5 / 6)
    np.testing.assert_allclose(new[:4, 0], [stats.norm.ppf(1 / 3), stats.norm.ppf(1 / 3), np.nan, third], atol=1e-6)
    np.testing.assert_allclose(new[:4, 1], 0, atol=1e-6)
    mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    np.testing.assert_allclose(new[4:], (np.array(values[4:]) - mean) / deviation, atol=1e-5)
