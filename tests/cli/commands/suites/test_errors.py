import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(suite_run, tmp_path) -> Path:
    """The folder of a finished suite, moved elsewhere."""
    shutil.copytree(suite_run / "out", tmp_path / "moved")
    return tmp_path / "moved"


def test_it_analyses_a_finished_suite_without_training(folder, cli):
    status, out, err = cli("errors", folder, "--systems", "mine,blind", "--top", "3")
    assert status == 0, err
    assert "3 systems, " in out
    assert f"page:      {folder / 'errors' / 'index.html'}" in out
    assert "(mine and blind)" in out
    found = json.loads((folder / "errors" / "errors.json").read_text())
    assert found["dialogues"]["systems"] == ["mine", "blind"]
    assert len(found["dialogues"]["shown"]) == 3
    results = json.loads((folder / "results.json").read_text())
    for row, one in zip(results["rows"], found["systems"], strict=True):
        assert row["label"] == one["label"]
        assert row["test"]["weighted_f1"]["values"] == pytest.approx(one["scores"]["weighted_f1"]["values"])
        assert {name: value["mean"] for name, value in row["classes"].items()} == pytest.approx(
            {name: value["f1"]["mean"] for name, value in one["items"].items()}
        )


def test_it_says_what_is_missing(folder, cli):
    (next((folder / "runs" / "erc").glob("seed2*")) / "predictions.parquet").unlink()
    status, out, _ = cli("errors", folder, "--out", folder / "other")
    assert status == 0
    assert "warning: 1 run not finished, and therefore missing here: erc/seed2." in out
    assert (folder / "other" / "turns.csv").is_file()


def test_mistakes_have_status_2(folder, cli, tmp_path):
    for tokens, problem in (
        (("errors", tmp_path / "none"), "no such folder"),
        (("errors", folder, "--systems", "erc,blond"), "unknown system 'blond'; did you mean 'blind'"),
        (("errors", folder, "--split", "tset"), "unknown split 'tset'; did you mean 'test'"),
        (("errors", folder, "--top", "0"), "--top: found 0"),
    ):
        status, _, err = cli(*tokens)
        assert status == 2
        assert problem in err
