import json
import shutil
from pathlib import Path

from dialogue_ser.runs.checksums import with_checksum


def test_the_command_says_that_all_bits_are_the_same(trained, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, text, err = cli("reproduce", trained)
    assert (status, err) == (0, "")
    assert text.splitlines()[-1].startswith("same bits: ")
    assert "steps: all " in text
    assert "scores: all " in text
    out = tmp_path / "runs" / "again" / trained.name
    record = json.loads((out / "reproduction.json").read_text())
    assert record["is_same"]
    assert {part["name"] for part in record["parts"]} >= {"steps", "weights", "predictions", "scores"}
    status, _, err = cli("reproduce", trained)
    assert (status, "holds a finished run" in err) == (2, True)
    status, text, _ = cli("reproduce", trained, "--resume")
    assert (status, "same bits" in text) == (0, True)


def test_a_difference_is_status_1_and_names_the_first_step(trained, cli, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows[1]["loss"] += 0.5
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = json.loads((run / "environment.json").read_text())
    del environment["sha256"]
    environment |= {"device": "NVIDIA H100", "python": "3.4.0"}
    (run / "environment.json").write_text(json.dumps(with_checksum(environment)))
    status, text, _ = cli("reproduce", run, "--out", tmp_path / "again", "--threads", "1")
    assert status == 1
    assert "warning: the run was trained on NVIDIA H100; GPUs round differently" in text
    assert "  version of python: the run has '3.4.0', now" in text
    assert "first: step 2 loss" in text
    assert "largest difference 0.5" in text
    assert text.splitlines()[-1].startswith("different: ")


def test_what_cannot_be_made_again_is_status_2_without_a_folder(trained, cli, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("turns.csv", "gone.csv"))
    status, _, err = cli("reproduce", run, "--out", tmp_path / "again")
    assert status == 2
    assert "gone.csv" in err
    assert not (tmp_path / "again").exists()
    moved = shutil.copy(trained.parent / "turns.csv", tmp_path / "moved.csv")
    status, text, err = cli("reproduce", run, "--out", tmp_path / "again", "--data_path", moved, "--allow-mismatch")
    assert (status, "config.yaml: was changed" in text) == (0, True), err
    for flags, problem in (
        ([tmp_path / "nothing"], "no such run directory"),
        ([trained, "--out", trained / "x"], "lies in the folder of the run"),
        ([trained, "--threads", "many"], "expected a whole number, or recorded"),
    ):
        status, _, err = cli("reproduce", *flags)
        assert (status, problem in err) == (2, True), err
