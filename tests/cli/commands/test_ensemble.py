def test_two_runs_become_a_run_that_predicts_and_is_compared(run, trained, cli, tmp_path):
    out = tmp_path / "both"
    status, text, err = cli("ensemble", run, "--out", out, trained)
    assert status == 0, err
    assert "report:" in text
    assert all((out / name).is_file() for name in ("report.html", "model/README.md"))
    (tmp_path / "new.csv").write_text("dialogue,speaker,text\na,Ann,fine okay\na,Bo,no stop\n")
    assert cli("predict", out, tmp_path / "new.csv")[1] == cli("predict", trained, tmp_path / "new.csv")[1]
    assert "A − B +0.0000" in cli("compare", out, trained)[1]
    assert cli("evaluate", out)[0] == 0


def test_a_folder_that_is_not_empty_and_missing_runs_give_status_2(run, trained, cli, tmp_path):
    status, _, err = cli("ensemble", run, trained, "--out", run)
    assert (status, "is not empty" in err) == (2, True)
    status, _, err = cli("ensemble", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert status == 2
    assert err.count("no such run directory") == 2
