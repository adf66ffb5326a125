import json
from pathlib import Path

import pytest

from benchmarks import results_files, tables
from benchmarks.results_files import read_result, recorded
from dialogue_ser.errors import MissingDataError


def test_scores_are_recorded_under_the_published_keys_at_any_depth() -> None:
    scores = {
        "pooled": {"uar": 0.4, "accuracy": 0.5, "macro_f1": 0.3, "per_class": {"anger": {"f1": 0.2}}},
        "folds": [{"name": "A", "uar": 0.1, "chosen": {"dev_scores": [{"inverse_regularisation": 1.0, "uar": 0.2}]}}],
    }
    assert recorded(scores) == {
        "pooled": {"ua": 0.4, "wa": 0.5, "macro_f1": 0.3, "per_class": {"anger": {"f1": 0.2}}},
        "folds": [{"name": "A", "ua": 0.1, "chosen": {"dev_ua": [{"inverse_regularisation": 1.0, "ua": 0.2}]}}],
    }


@pytest.mark.parametrize("name", ["nemo.json", "nemo-networks.json"])
def test_published_files_have_the_recorded_keys_and_only_those(name: str) -> None:
    rows = read_result(tables.RESULTS, name)["rows"]
    for row in rows:
        assert {"ua", "wa"} <= row["pooled"].keys()
        assert recorded(row) == row  # nothing is left to translate


def test_a_result_that_was_not_recorded_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="run the benchmark that writes it with --record"):
        read_result(tmp_path, "nemo.json")
    (tmp_path / "nemo.json").write_text(json.dumps({"rows": []}))
    assert results_files.read_result(tmp_path, "nemo.json") == {"rows": []}
