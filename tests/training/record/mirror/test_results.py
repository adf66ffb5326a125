import numpy as np
import pandas as pd
import pytest

from dialogue_ser.training.record.mirror.results import _CURVE_POINTS, _Problems, _roc_points, score_tables

SCORES = {
    "splits": {
        "dev": {"scores": {"per_class": {"calm": {"f1": 0.5, "support": 2}}}, "floors": {"majority": {"uar": 0.2}}},
        "test": {"scores": {"per_class": {"calm": {"f1": None, "support": 0, "auc": 0.1}}}},
    }
}


def test_classes_dimensions_and_floors_have_a_row_for_each_split():
    tables = score_tables(SCORES)
    assert tables["per_class"].columns == ["split", "class", "f1", "support", "auc"]
    assert tables["per_class"].data == [["dev", "calm", 0.5, 2, None], ["test", "calm", None, 0, 0.1]]
    assert tables["floors"].data == [["dev", "majority", 0.2]]
    values = {"splits": {"test": {"scores": {"per_dimension": {"valence": {"ccc": 0.3}}}}}}
    assert score_tables(values)["per_dimension"].data == [["test", "valence", 0.3]]
    assert score_tables({}) == {}


def test_curves_go_from_corner_to_corner_have_few_points_and_leave_out_classes_that_nobody_has():
    rng = np.random.default_rng(0)
    p = rng.random((3000, 3))
    rows = pd.DataFrame(p / p.sum(1, keepdims=True), columns=["p_a", "p_b", "p_c"])
    points = _roc_points(rows, ["a", "b", "c"], rng.integers(0, 2, 3000))
    assert {label for label, _, _ in points} == {"a", "b"}
    first = [point[1:] for point in points if point[0] == "a"]
    assert (first[0], first[-1]) == ([0.0, 0.0], [1.0, 1.0])
    assert len(first) <= _CURVE_POINTS
    assert _roc_points(rows[["p_a"]], ["a", "b"], np.array([0, 1])) == []


def test_parts_with_one_reason_are_one_sentence_and_a_dead_service_is_none():
    problems = _Problems()
    for part in ("x", "y"):
        with problems.noted(part):
            raise ValueError("odd")
    assert problems.sentences() == ["x, y could not be sent (ValueError: odd)"]
    with pytest.raises(ConnectionError), problems.noted("z"):
        raise ConnectionResetError
