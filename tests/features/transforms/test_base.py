"""What a saved transform may have as its arrays. A model folder can come from anybody."""

import numpy as np
import pytest

from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.transforms import TRANSFORMS, transform_from_state


@pytest.fixture
def fitted(dialogue):
    """Return a function: name of a transform → its arrays, fitted on five rows of three features."""
    rows = np.random.default_rng(0).normal(size=(5, 3))
    rows[2, 1] = np.nan
    talk = dialogue(["a", "b", "c", "d", "e"])
    by_id = dict(zip([turn.id for turn in talk], rows, strict=True))
    return lambda name: TRANSFORMS[name]().fit(by_id, [talk]).state()[1]


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_what_fit_made_is_loaded_also_without_the_number_of_features(fitted, name) -> None:
    arrays = fitted(name)
    assert transform_from_state({"name": name}, arrays).arrays == arrays
    del arrays["dim"]  # as models of early versions
    assert transform_from_state({"name": name}, arrays).arrays == arrays


@pytest.mark.parametrize(
    ("name", "key", "value", "problem"),
    [
        ("standardise", "mean", None, "'mean' is missing"),
        ("standardise", "mean", np.full(3, np.nan), "'mean' has values that are no finite numbers"),
        ("rank", "quantiles", np.full((5, 3), np.inf), "no finite numbers"),
        ("speaker-zscore", "deviation", np.array(["a", "b", "c"]), "no finite numbers"),
        ("standardise", "deviation", np.ones((3, 1)), r"'deviation' has the shape \(3, 1\)"),
        ("standardise", "deviation", np.ones(4), "'deviation' is for 4 features, and other arrays are for 3"),
        ("quantile-gaussian", "quantiles", np.ones((0, 3)), r"the shape \(0, 3\)"),
        ("impute", "dim", np.array([3]), r"'dim' has the shape \(1,\)"),
        ("standardise", "dim", np.array(np.nan), "'dim' has values"),
        ("impute", "flagged", np.array([3]), "'flagged' has values that are no numbers of 3 features"),
        ("impute", "flagged", np.array([-1]), "'flagged' has values"),
        ("impute", "flagged", np.array([0.5]), "'flagged' has values"),
    ],
)
def test_arrays_that_fit_cannot_have_made_are_refused(fitted, name, key, value, problem) -> None:
    arrays = fitted(name)
    if value is None:
        del arrays[key]
    else:
        arrays[key] = value
    with pytest.raises(CheckpointError, match=f"saved transform {name}: the array .*{problem}"):
        transform_from_state({"name": name}, arrays)
