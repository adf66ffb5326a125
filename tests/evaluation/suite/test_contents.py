import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.evaluation.suite.contents import CONTENTS, contents_record, read_contents
from dialogue_ser.evaluation.suite.plan import read_plan


@pytest.fixture
def folder(suite_run, tmp_path) -> Path:
    shutil.copytree(suite_run / "out", tmp_path / "moved")
    return tmp_path / "moved"


def test_a_moved_folder_has_its_rows_runs_and_references(folder):
    contents = read_contents(folder)
    assert (contents.name, contents.protocol, contents.split) == ("small", "dev", "test")
    assert [(row.label, row.reference) for row in contents.rows] == [("erc", "blind"), ("blind", ""), ("mine", "blind")]
    for row in contents.rows:
        assert [run.seed for run in row.runs] == [1, 2]
        assert all(run.is_finished and run.folder.is_relative_to(folder) for run in row.runs)
    assert contents.missing == ()


def test_runs_that_are_not_finished_are_named(folder):
    (folder / "results.json").unlink()  # the suite was stopped before its first results
    run = read_contents(folder).rows[0].runs[1]
    (run.folder / "predictions.parquet").unlink()
    assert read_contents(folder).missing == ("erc/seed2",)


def test_a_folder_of_an_earlier_version_is_read_from_its_results(folder):
    now = read_contents(folder)
    (folder / CONTENTS).unlink()
    assert read_contents(folder) == now
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"failed": {"bad/seed1": "why"}}))
    assert read_contents(folder).missing == ("bad/seed1",)


def test_a_system_whose_trials_all_failed_is_named(suite_run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(suite_run))
    plan = read_plan(suite_run / "suite.yaml", trust_code=True)
    tuned = replace(plan, rows=plan.rows[1:])
    record = contents_record(tuned, tuned.cells(tmp_path), tmp_path, plan.rows)
    (tmp_path / CONTENTS).write_text(json.dumps(record))
    contents = read_contents(tmp_path)
    assert [row.label for row in contents.rows] == ["blind", "mine"]
    assert contents.missing == ("blind/seed1", "blind/seed2", "mine/seed1", "mine/seed2", "erc: its trials")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is not a JSON object"),
        ('{"kind": 3}', "does not describe a suite"),
        ('{"name": "a", "description": "", "protocol": "dev", "split": "test", "rows": [3]}', "does not describe a"),
        (
            '{"name": "a", "description": "", "protocol": "dev", "split": "test", "rows": [{"label": "x", '
            '"reference": "", "runs": [{"key": "x", "seed": 1, "folder": "../../x"}]}]}',
            "lies outside the folder",
        ),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, text, problem):
    (tmp_path / CONTENTS).write_text(text)
    with pytest.raises(DialogueSerError, match=problem):
        read_contents(tmp_path)


def test_another_folder_is_an_error_that_says_what_to_give(tmp_path):
    (tmp_path / "suite.yaml").write_text("name: a\n")
    for path, found in ((tmp_path, "is not the folder of a suite"), (tmp_path / "none", "no such folder"),
                        (tmp_path / "suite.yaml", "is a file")):  # fmt: skip
        with pytest.raises(MissingDataError, match=f"{found}; give the folder that dialogue-ser benchmark"):
            read_contents(path)
