import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.transforms import TRANSFORMS, build_transform, transform_from_state


def matrix(rows):
    return np.stack(list(rows.values()))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("n_frames", [None, 3])
def test_state_survives_json_and_safetensors_exactly(talks, name, n_frames, rows_for) -> None:
    train, test = rows_for(talks, n_frames=n_frames), rows_for(talks[:2], seed=1, n_frames=n_frames)
    fitted = build_transform(name).fit(train, talks)
    described, arrays = fitted.state()
    again = transform_from_state(json.loads(json.dumps(described)), load(save(arrays)) if arrays else {})
    expected, found = fitted.apply(test, talks[:2]), again.apply(test, talks[:2])
    assert all(np.array_equal(found[key], expected[key]) for key in test)
    assert all(row.dtype == np.float32 and row.ndim == (1 if n_frames is None else 2) for row in found.values())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_statistics_come_from_train_alone_and_inputs_stay_untouched(talks, name, rows_for) -> None:
    train, test = rows_for(talks), rows_for(talks[:1], seed=1)
    before = {key: row.copy() for key, row in test.items()}
    fitted = build_transform(name).fit(train, talks)
    both = fitted.apply(test, talks[:1])
    some = fitted.apply({key: test[key] for key in list(test)[:4]}, talks[:1])  # all of Ross, nobody else
    assert all(np.allclose(some[key], both[key], atol=1e-6) for key in some)
    assert all(np.array_equal(test[key], before[key]) for key in test)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_another_number_of_features_is_refused(talks, name, rows_for) -> None:
    fitted = build_transform(name).fit(rows_for(talks), talks)
    with pytest.raises(FeatureError, match="fitted on 4 features and is given 5"):
        fitted.apply(rows_for(talks, n_features=5), talks)


def test_causal_transforms_do_not_look_at_later_turns(talks, rows_for) -> None:
    rows = rows_for(talks)
    for name, kind in TRANSFORMS.items():
        fitted = build_transform(name).fit(rows, talks)
        changed = {**rows, "d0_utt3": rows["d0_utt3"] + 7}
        is_same = np.allclose(fitted.apply(changed, talks)["d0_utt0"], fitted.apply(rows, talks)["d0_utt0"])
        assert is_same == kind.is_causal


def test_unknown_names_and_empty_train_are_refused(talks) -> None:
    with pytest.raises(ConfigError, match="did you mean 'standardise'"):
        build_transform("standardize")
    with pytest.raises(CheckpointError, match="saved transform"):
        transform_from_state({"name": "magic"}, {})
    with pytest.raises(FeatureError, match="no rows"):
        build_transform("impute").fit({}, talks)


def test_all_frames_have_the_same_weight_in_short_and_long_utterances(dialogue) -> None:
    talk = dialogue(["x"] * 3)
    random = np.random.default_rng(0)
    rows = {turn.id: random.normal(3, 2, (n, 4)).astype(np.float32) for turn, n in zip(talk, (1, 5, 60), strict=True)}
    rows["train/dia0_utt2"][::2, 1] = np.nan
    frames = np.concatenate(list(rows.values())).astype(np.float64)
    imputed = build_transform("impute").fit(rows, [talk])
    filled = imputed.apply(rows, [talk])
    assert {key: row.shape for key, row in filled.items()} == {key: (len(row), 5) for key, row in rows.items()}
    assert filled["train/dia0_utt2"][0, 1] == np.float32(np.nanmedian(frames[:, 1]))
    assert filled["train/dia0_utt2"][:2, 4].tolist() == [1, 0]
    scaled = build_transform("standardise").fit(filled, [talk]).apply(filled, [talk])
    np.testing.assert_allclose(np.concatenate(list(scaled.values())).mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(scaled.values())).std(0), 1, atol=1e-5)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_applying_in_small_chunks_changes_nothing(talks, name, monkeypatch, rows_for) -> None:
    rows = rows_for(talks, n_frames=3)
    fitted = build_transform(name).fit(rows, talks)
    whole = fitted.apply(rows, talks)
    monkeypatch.setattr("dialogue_ser.features.transforms.row_matrix._MAX_ROWS_PER_CHUNK", 5)
    in_chunks = fitted.apply(rows, talks)
    assert list(in_chunks) == list(whole)
    assert all(np.array_equal(in_chunks[key], whole[key]) for key in whole)


def test_with_too_many_frames_only_every_third_is_fitted_on(talks, monkeypatch, rows_for) -> None:
    rows = rows_for(talks, n_frames=7)
    frames = np.concatenate(list(rows.values())).astype(np.float64)
    monkeypatch.setattr("dialogue_ser.features.transforms.row_matrix._MAX_FITTED_VALUES", frames.size // 3 + 1)
    fitted = build_transform("standardise").fit(rows, talks)
    np.testing.assert_allclose(fitted.arrays["mean"], frames[::3].mean(0))
