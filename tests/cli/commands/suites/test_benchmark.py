import shutil
from pathlib import Path

import pytest

from dialogue_ser.cli.commands.suites import benchmark
from dialogue_ser.cli.job_engines import job_engine
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.many.engines import InProcess


@pytest.fixture
def suite(suite_run, tmp_path, monkeypatch) -> Path:
    """The file of a suite whose runs are finished, in out/; runs are made in this process."""
    shutil.copytree(suite_run, tmp_path / "suite")
    monkeypatch.syspath_prepend(str(suite_run))
    monkeypatch.setattr(benchmark, "job_engine", lambda *arguments: InProcess())
    return tmp_path / "suite" / "suite.yaml"


def test_it_prints_the_table_and_writes_its_files(suite, cli):
    out_folder = suite.parent / "out"
    status, out, err = cli("benchmark", suite, "--out", out_folder, "--trust_code")
    assert status == 0, err
    assert "small: test" in out
    assert "Holm" in out
    assert f"page:   {out_folder / 'index.html'}" in out
    assert "6 of 6 runs are finished already" in err
    assert all((out_folder / f"table.{ending}").is_file() for ending in ("md", "tex", "csv"))
    assert f"errors: {out_folder / 'errors' / 'index.html'}; " in out
    assert '<a href="errors/index.html">Error analysis</a>' in (out_folder / "index.html").read_text()


def test_the_table_is_written_also_if_the_errors_cannot_be_analysed(suite, cli, monkeypatch):
    def fail(folder, **settings):
        raise DialogueSerError("no turns")

    monkeypatch.setattr(benchmark, "write_analysis", fail)
    status, out, err = cli("benchmark", suite, "--out", suite.parent / "out", "--trust_code")
    assert status == 0
    assert "warning: no error analysis: no turns" in err
    assert "page: " in out
    assert "errors/index.html" not in (suite.parent / "out" / "index.html").read_text()


def test_a_failed_run_gives_status_1_and_its_reason(suite, cli):
    suite.write_text(suite.read_text().replace("reference: blind", "  bad: {data.path: none.csv}\nreference: blind"))
    status, out, err = cli("benchmark", suite, "--out", suite.parent / "out", "--trust_code")
    assert status == 1
    assert "failed: bad/seed1: " in err
    assert "none.csv" in err
    assert "2 runs failed; the same command tries them again" in err
    assert "| erc" not in out
    assert "erc" in out


def test_errors_have_status_2_and_code_in_the_file_is_refused(suite, cli, monkeypatch):
    status, _, err = cli("benchmark", suite, "--out", suite.parent / "out")
    assert status == 2
    assert "suite.yaml:7: systems.mine.model.name: 'my_small_model:Mine' is code" in err
    assert cli("benchmark", suite.parent / "none.yaml")[0] == 2
    monkeypatch.setattr(benchmark, "job_engine", job_engine)
    status, _, err = cli("benchmark", suite, "--trust_code", "--address", "auto")
    assert status == 2
    assert "--address is for --engine ray" in err


def test_a_dry_run_lists_the_runs_and_a_flag_adds_a_system(suite, cli):
    text = suite.read_text().replace('  mine: {model.name: "my_small_model:Mine"}\n', "")
    suite.write_text(text)
    flags = ("--systems.own", "my_small_model:Mine", "--dry_run", "--out", suite.parent / "out")
    status, out, err = cli("benchmark", suite, *flags)
    assert status == 0, err
    assert "erc/seed1: finished; emotion-rnn" in out
    assert "own/seed2: to do; my_small_model:Mine" in out
    assert "6 runs: 3 rows × 2 seeds" in out


def test_without_ray_the_engine_says_how_to_get_it(suite, cli, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    monkeypatch.syspath_prepend(str(suite.parent))
    status, _, err = cli("benchmark", suite, "--out", suite.parent / "out", "--trust_code", "--engine", "ray")
    assert status == 2
    assert "pip install 'dialogue-ser[ray]'" in err
