"""The suites and the class of docs/benchmark.md work as they stand there."""

import re
import shutil
import sys
from pathlib import Path
from typing import get_args

import pytest

from dialogue_ser.cli.commands.suites import benchmark
from dialogue_ser.cli.main import main
from dialogue_ser.evaluation.suite.plan import read_plan
from dialogue_ser.evaluation.suite.suite_file import KEYS, SuiteProtocol
from dialogue_ser.many.engines import InProcess
from dialogue_ser.runs.run_files import read_json

PAGE = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, write_suite, monkeypatch) -> Path:
    write_suite(tmp_path)
    (tmp_path / "my_system.py").write_text(blocks("python")[0])
    for number, block in enumerate(blocks("yaml")):
        (tmp_path / f"suite{number}.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "job_engine", lambda *arguments: InProcess())
    yield tmp_path
    sys.modules.pop("my_system", None)


def test_every_suite_of_the_page_can_be_run(folder):
    least, tuned, svm = (read_plan(folder / f"suite{number}.yaml") for number in range(3))
    assert ([row.label for row in least.rows], least.suite.seeds) == (["erc", "blind"], (1, 2))
    assert [(row.label, len(row.trials)) for row in tuned.rows] == [("erc", 8), ("blind", 8)]
    assert svm.suite.protocol == "crossval"


def test_the_system_of_the_page_gets_its_row_by_a_flag_and_by_its_name_in_the_suite(folder):
    command = ["benchmark", "own.yaml", "--out", "out", "--seeds", "[1]"]
    suite = "name: own\nbase: base.yaml\nsystems: {blind: {model: {name: bigru, options: {hidden_dim: 4}}}MORE}\n"
    (folder / "own.yaml").write_text(suite.replace("MORE", ""))
    assert main([*command, "--systems.mine", "my_system:MySystem"]) == 0
    (folder / "own.yaml").write_text(
        suite.replace("MORE", ', mine: {model.name: "my_system:MySystem"}, wide: {model.name: "my_system:MySystem", '
                              "model.options: {hidden: 64}}")
    )  # fmt: skip
    assert main(command) == 2
    assert main([*command, "--trust_code"]) == 0
    rows = {row["label"]: row for row in read_json(folder / "out" / "results.json")["rows"]}
    assert set(rows) == {"blind", "mine", "wide"}
    assert rows["wide"]["cost"]["n_parameters"] > rows["mine"]["cost"]["n_parameters"]


def test_the_example_of_errors_reads_what_the_command_wrote(suite_run, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    shutil.copytree(suite_run / "out", tmp_path / "runs" / "small")
    monkeypatch.chdir(tmp_path)
    command = next(line for line in PAGE.splitlines() if "--systems erc,blind" in line)
    assert main(command.split()[1:]) == 0
    capsys.readouterr()
    exec(compile(blocks("python")[1], "docs/benchmark.md", "exec"), {})
    assert "emotion_shift" in capsys.readouterr().out


def test_the_page_names_every_key_and_every_protocol():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(KEYS)
    for protocol in get_args(SuiteProtocol):
        assert f"**{protocol}**" in PAGE
