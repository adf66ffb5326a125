import json


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
