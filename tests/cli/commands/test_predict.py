import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.parsing.files import read_rows

COLUMNS = ["dialogue_id", "utterance_id", "turn", "speaker", "text", "predicted", "p_calm", "p_glad", "p_cross"]


@pytest.fixture
def turns(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("dialogue,speaker,text\na,Ann,lovely great\na,Bo,stop never\nb,Cy,NA\n")
    return path


def read(path):
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda p: pd.read_json(p, lines=True)}
    return readers[path.suffix](path)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_every_output_format_holds_one_row_per_turn(run, turns, cli, tmp_path, ending):
    out = tmp_path / f"labelled{ending}"
    status, _, err = cli("predict", run, turns, "--out", out)
    assert (status, err) == (0, "")
    table = read(out)
    assert set(table.columns) == set(COLUMNS)
    assert len(table) == 3
    assert list(table["predicted"])[:2] == ["glad", "cross"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_out_csv_goes_to_standard_output(run, turns, cli):
    status, out, _ = cli("predict", run / "model", turns)
    assert status == 0
    table = pd.read_csv(io.StringIO(out), keep_default_na=False)
    assert sorted(table.columns) == sorted(COLUMNS)
    assert list(table["text"]) == ["lovely great", "stop never", "NA"]


def test_json_lines_and_other_column_names_give_the_same(run, turns, cli, tmp_path):
    other = tmp_path / "new.jsonl"
    rows = pd.read_csv(turns, keep_default_na=False).rename(columns={"text": "Line", "speaker": "Who"})
    other.write_text("\n".join(json.dumps(row) for row in rows.to_dict("records")))
    cli("predict", run, turns, "--out", tmp_path / "a.csv")
    status, _, err = cli(
        "predict", run, other, "--columns.text=Line", "--columns.speaker", "Who", "--out", tmp_path / "b.csv"
    )
    assert (status, err) == (0, "")
    a, b = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    np.testing.assert_allclose(a.filter(like="p_"), b.filter(like="p_"))


@pytest.mark.parametrize(
    ("model", "given", "out", "message"),
    [
        ("run", "turns", "x.xls", "unknown ending '.xls'"),
        ("run", "turns", "no/where.csv", "does not exist; create it"),
        ("run", "/nowhere.csv", "x.csv", "no such file"),
        ("/nowhere", "turns", "x.csv", "no such model folder"),
    ],
)
def test_what_cannot_work_is_a_clear_error_and_leaves_no_file(run, turns, cli, tmp_path, model, given, out, message):
    before = sorted(tmp_path.rglob("*"))
    status, _, err = cli(
        "predict", run if model == "run" else model, turns if given == "turns" else given, "--out", tmp_path / out
    )
    assert status == 2
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_every_bad_row_of_the_input_is_named(run, cli, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"speaker,text\nAnn,ok\nBo,caf\xe9\n")
    status, _, err = cli("predict", run, bad)
    assert status == 2
    assert "bad.csv" in err
    assert "UTF-8" in err


def test_the_input_is_never_overwritten(run, turns, cli):
    before = turns.read_bytes()
    status, _, err = cli("predict", run, turns, "--out", turns.parent / ".." / turns.parent.name / turns.name)
    assert status == 2
    assert "is the input itself" in err
    assert turns.read_bytes() == before


def test_an_output_that_cannot_be_a_file_is_refused(run, turns, cli, tmp_path):
    (tmp_path / "there.csv").mkdir()
    status, _, err = cli("predict", run, turns, "--out", tmp_path / "there.csv")
    assert status == 2
    assert "is a folder; name a file in it" in err
    status, _, err = cli("predict", run, turns, "--out", tmp_path / ("x" * 300 + ".csv"))
    assert status == 2
    assert "cannot be written (File name too long)" in err
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_texts_that_a_spreadsheet_would_compute_are_guarded_in_csv_and_read_back(trained, cli, tmp_path):
    texts = ["=cmd|' /C calc'!A0", "- Well, no.", "'=1", "fine"]
    with (tmp_path / "new.csv").open("w", newline="") as file:
        rows = [{"speaker": "@Ann", "text": text, "score": "-0.5", "=note": "+1+1"} for text in texts]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        assert cli("predict", trained, tmp_path / "new.csv", "--out", tmp_path / name)[0] == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["text"] for row in cells] == ["'=cmd|' /C calc'!A0", "'- Well, no.", "''=1", "fine"]
    assert {(row["speaker"], row["score"], row["'=note"]) for row in cells} == {("'@Ann", "-0.5", "'+1+1")}
    exact = pd.read_parquet(tmp_path / "out.parquet")
    assert (list(exact["text"]), set(exact["=note"])) == (texts, {"+1+1"})
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == texts
    again = read_rows(tmp_path / "out.csv")
    assert [row.values["text"] for row in again] == texts
    assert {(row.values["speaker"], row.values["=note"]) for row in again} == {("@Ann", "+1+1")}
    status, out, _ = cli("predict", trained, tmp_path / "new.csv")
    assert (status, "'=cmd" in out) == (0, True)
