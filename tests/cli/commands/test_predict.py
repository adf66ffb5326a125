import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.cli.commands.predict import predict
from dialogue_ser.corpus.parsing.files import read_rows
from dialogue_ser.errors import ConfigError

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


def test_predictions_keep_the_order_and_the_other_columns_of_the_input(run, cli, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(
        "take,dialogue,speaker,text,turn\nfirst,a,Ann,lovely great,7\nsecond,b,Bo,stop never,7\nthird,a,Cy,yes,8\n"
    )
    status, out, err = cli("predict", run, path)
    assert (status, err) == (0, "")
    table = pd.read_csv(io.StringIO(out))
    assert list(table["take"]) == ["first", "second", "third"]
    assert list(table["utterance_id"]) == ["new/a_utt7", "new/b_utt7", "new/a_utt8"]
    assert list(table["text"]) == ["lovely great", "stop never", "yes"]
    assert (list(table["turn"]), list(table["input_turn"])) == ([0, 0, 1], [7, 7, 8])
    assert set(table.columns) == {*COLUMNS, "take", "input_turn"}


def test_input_without_a_dialogue_column_is_read_as_in_training_and_the_note_names_the_choice(run, cli, tmp_path):
    path = tmp_path / "chat.csv"
    path.write_text("speaker,text\nAnn,lovely great\nBo,stop never\n")
    status, out, err = cli("predict", run, path)
    assert status == 0
    assert list(pd.read_csv(io.StringIO(out))["dialogue_id"]) == ["new/row2", "new/row3"]
    assert err.startswith("note: no column names dialogues")
    assert err.count("\n") == 1
    status, out, err = cli("predict", run, path, "--dialogue", "file")
    assert (status, err) == (0, "")
    assert list(pd.read_csv(io.StringIO(out))["dialogue_id"]) == ["new/chat"] * 2


def test_options_say_how_the_input_is_written(run, cli, tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes("dialogue:text\na:café great\n".encode("cp1252"))
    status, out, _ = cli("predict", run, path, "--options", "{encoding: cp1252, delimiter: ':'}")
    assert status == 0
    assert list(pd.read_csv(io.StringIO(out))["text"]) == ["café great"]
    status, _, err = cli("predict", run, path, "--options", "{encodin: cp1252}")
    assert status == 2
    assert "unknown option 'encodin'; did you mean 'encoding'" in err


def test_a_workbook_and_a_json_file_are_inputs_too(run, cli, tmp_path):
    rows = pd.DataFrame({"dialogue": ["a", "a"], "speaker": ["Ann", "Bo"], "text": ["lovely great", "stop never"]})
    rows.to_excel(tmp_path / "new.xlsx", index=False)
    rows.to_json(tmp_path / "new.json", orient="split")
    results = [cli("predict", run, tmp_path / name) for name in ("new.xlsx", "new.json")]
    assert results[0] == results[1]
    assert results[0][0] == 0


def test_a_file_that_is_no_table_is_named_in_one_sentence(run, cli, tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nWhere?\n")
    status, _, err = cli("predict", run, tmp_path / "a.srt")
    assert (status, err.count("\n")) == (2, 1)
    assert "it seems to be SubRip subtitles (.srt); write its turns to a CSV file" in err


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


def test_a_model_and_an_input_in_the_wrong_order_are_named_in_the_right_one(tmp_path):
    (tmp_path / "a.csv").write_text("text\nHi\n")
    with pytest.raises(ConfigError, match="the model comes first"):
        predict(str(tmp_path / "a.csv"), str(tmp_path))
