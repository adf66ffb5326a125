import json
import sys

import pytest
import yaml


def test_a_run_is_scored_and_reported_again(run, cli):
    (run / "scores.json").unlink()
    (run / "report.html").unlink()
    status, out, _ = cli("evaluate", run)
    assert status == 0
    assert json.loads((run / "scores.json").read_text())["splits"].keys() == {"train", "dev", "test"}
    assert f"report: {run / 'report.html'}" in out


def test_one_split_is_shown_alone(run, cli):
    status, out, _ = cli("evaluate", run, "--split", "test", "--report=false")
    assert status == 0
    assert "test" in out
    assert "dev" not in out
    assert "dev" in cli("evaluate", run, "--split=dev,test", "--report=false")[1]


def test_scoring_one_split_does_not_forget_the_others(run, cli):
    before = (run / "scores.json").read_text()
    cli("evaluate", run, "--split", "test", "--report=false")
    assert (run / "scores.json").read_text() == before


def test_an_unknown_split_names_the_nearest(run, cli):
    status, _, err = cli("evaluate", run, "--split=tset")
    assert status == 2
    assert "did you mean 'test'?" in err


def test_a_folder_that_is_no_run_is_a_clear_error(cli, tmp_path):
    status, _, err = cli("evaluate", tmp_path / "nowhere")
    assert status == 2
    assert "no such run directory" in err


OWN = """
from pathlib import Path

Path("imported").touch()


def misses(gold, predicted):
    return float((gold != predicted).sum())


def hits(gold, predicted):
    return float((gold == predicted).sum())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A working folder with a module that writes a file when it is imported."""
    (tmp_path / "cli_metrics.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "cli_metrics", raising=False)
    return tmp_path


def test_metrics_of_the_user_are_scored_and_shown(run, cli, own):
    status, out, _ = cli("evaluate", run, "--metrics", "cli_metrics:misses,cli_metrics:hits", "--report=false")
    assert status == 0
    assert "misses" in out
    scores = json.loads((run / "scores.json").read_text())["splits"]["test"]["scores"]
    assert scores["misses"] + scores["hits"] == scores["n"]


@pytest.mark.parametrize("flags", [["--trust_code"], ["--trust-code=true"], ["--metrics", "cli_metrics:misses"]])
def test_code_that_the_runs_configuration_names_is_only_imported_if_a_flag_allows_it(run, cli, own, flags):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "metrics": ["cli_metrics:misses"]}))
    status, _, err = cli("evaluate", run, "--report=false")
    assert (status, (own / "imported").exists()) == (2, False)
    assert "metrics[0]: 'cli_metrics:misses' is code" in err
    status, _, _ = cli("evaluate", run, *flags, "--report=false")
    assert (status, (own / "imported").exists()) == (0, True)
    assert json.loads((run / "scores.json").read_text())["splits"]["test"]["scores"]["misses"] >= 0


def test_an_unknown_metric_names_the_nearest_and_changes_nothing(run, cli):
    before = (run / "scores.json").read_bytes()
    status, _, err = cli("evaluate", run, "--metrics=weightd_f1")
    assert status == 2
    assert "did you mean 'weighted_f1'" in err
    assert (run / "scores.json").read_bytes() == before


def test_a_regression_is_shown_with_its_own_metrics(value_run_dir, cli):
    status, out, _ = cli("evaluate", value_run_dir, "--report=false")
    assert status == 0
    for heading in ("CCC", "Pearson r", "MAE"):
        assert heading in out
    assert "F1" not in out


def test_one_table_scores_a_run_and_gets_a_report_beside_the_runs_own(run, cli, config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = (run / "scores.json").read_bytes()
    status, out, err = cli("evaluate", run, "--data.path", config.with_name("turns.csv"), "--split=test")
    assert status == 0, err
    folder = tmp_path / "runs" / "tiny-on-turns"
    assert {path.name for path in folder.iterdir()} >= {"predictions.parquet", "scores.json", "report.html"}
    assert "results: runs/tiny-on-turns" in out
    assert "30 dialogues" in out
    assert (run / "scores.json").read_bytes() == own
    page = (folder / "report.html").read_text()
    assert "tiny on turns.csv" in page
    assert "model_sha256" in page
    assert cli("evaluate", folder)[0] == 0
    assert cli("compare", folder, run)[0] == 0


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--out", "x"], "--out and --features are for new data"),
        (["--data.pth", "x.csv"], "did you mean --data.path"),
        (["--data.path", "nowhere.csv"], "nowhere.csv"),
        (["--data.on_bad=skip", "--data.path=x.csv"], "expected one of error, mask"),
        (["--data", "turns.csv"], "--data.path"),
    ],
)
def test_wrong_flags_of_new_data_are_one_line(run, cli, tokens, message):
    status, _, err = cli("evaluate", run, *tokens)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
