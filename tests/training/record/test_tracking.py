import json
import os
import time
from pathlib import Path

import pytest

from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.run_config import WandbConfig
from dialogue_ser.training.record import tracking
from dialogue_ser.training.record.tracking import MetricsFile, WandbMirror
from dialogue_ser.training.run import train


def test_lines_are_whole_and_readable_at_once_and_cut_back_exactly(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.write({"kind": "step", "loss": 0.1})
    n_bytes = metrics.n_bytes
    metrics.write({"kind": "step", "loss": 0.2})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    metrics.truncate(n_bytes)
    metrics.write({"kind": "epoch"})
    metrics.close()
    metrics.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["step", "epoch"]


def test_a_file_opened_again_goes_on_at_its_end(tmp_path):
    for number in range(2):
        metrics = MetricsFile(tmp_path / "metrics.jsonl")
        metrics.write({"n": number})
        metrics.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_metrics_shorter_than_the_checkpoint_knows_are_refused(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match=r"0 bytes, but it had 10 at the checkpoint"):
        metrics.truncate(10)
    metrics.close()


def test_ranks_without_a_file_write_nothing():
    metrics = MetricsFile(None)
    metrics.write({"kind": "step"})
    metrics.sync()
    metrics.truncate(0)
    metrics.close()
    assert metrics.n_bytes == 0


def test_offline_mirrors_config_metrics_confusion_and_summary_but_no_transcript(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PYTHONPATH", str(Path(tiny.__file__).parent))
    run = train(tiny.tiny_config(**{"training.epochs": 1, "wandb.mode": "offline"}), tmp_path / "run")
    assert "W&B" not in caplog.text
    (record,) = (run.folder / "wandb").glob("offline-run-*/run-*.wandb")
    content = record.read_bytes()
    for part in (
        b"epoch/dev/weighted_f1",
        b"step/loss",
        b"scores/test/uar",
        b"confusion",
        b"learning_rate",
        b"tiny:letters",
    ):
        assert part in content, part
    for dialogue in tiny.read_tiny().split("train"):
        for turn in dialogue:
            assert turn.text is None or turn.text.encode() not in content


def test_an_unreachable_server_changes_no_metric_and_costs_one_warning(tiny, tmp_path, monkeypatch, caplog):
    plain = train(tiny.tiny_config(**{"training.epochs": 1}), tmp_path / "plain")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert tracking.WANDB_GRACE_SECONDS < 10
    monkeypatch.setattr(tracking, "WANDB_GRACE_SECONDS", 3.0)
    started = time.monotonic()
    run = train(tiny.tiny_config(**{"training.epochs": 1, "wandb.mode": "online"}), tmp_path / "run")
    assert time.monotonic() - started < 20  # grace, and the run itself on a busy machine
    warnings = [record for record in caplog.records if record.name == tracking.__name__]
    assert [record.message.startswith("W&B mirror failed") for record in warnings] == [True]
    assert run.scores == plain.scores
    plain_steps, steps = (
        [row for row in RunFiles(folder).history if row["kind"] == "step"] for folder in (plain.folder, run.folder)
    )
    assert plain_steps == steps
    assert "0" * 40 not in "".join(path.read_text() for path in run.folder.glob("*.*") if path.suffix != ".parquet")


def test_a_mirror_that_hangs_is_left_after_the_grace_time(tmp_path, monkeypatch, caplog):
    (tmp_path / "metrics.jsonl").write_text("")
    os.mkfifo(tmp_path / "never")
    hanging = tmp_path / "hanging"
    hanging.write_text(f"#!/bin/sh\nexec cat {tmp_path}/never\n")  # waits for a writer that never comes
    hanging.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(hanging))
    monkeypatch.setattr(tracking, "WANDB_GRACE_SECONDS", 0.3)
    mirror = WandbMirror(tmp_path, WandbConfig(mode="offline"))
    mirror.finish()
    assert len(caplog.records) == 1
    assert "not finished after 0.3 s" in caplog.text
    assert "metrics.jsonl is complete without it" in caplog.text
    mirror.finish()
    assert len(caplog.records) == 1


def test_the_mirror_imports_nothing_from_the_working_folder(tmp_path, monkeypatch):
    for name in ("wandb", "yaml", "json", "dialogue_ser"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\nraise SystemExit(0)\n")
    (tmp_path / "metrics.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(tracking.__file__).parents[3]))
    WandbMirror(tmp_path, WandbConfig(mode="offline")).finish()  # it fails: the run has no config.yaml
    assert "config.yaml" in (tmp_path / "wandb.log").read_text()
    assert not (tmp_path / "was_run").exists()


def test_a_mirror_that_cannot_start_is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "metrics.jsonl").write_text("")
    monkeypatch.setattr("sys.executable", str(tmp_path / "missing"))
    WandbMirror(tmp_path, WandbConfig(mode="offline")).finish()
    assert "could not be started" in caplog.text


def test_disabled_starts_nothing(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *args, **options: started.append(args))
    WandbMirror(tmp_path, WandbConfig()).finish()
    assert not started
    assert not list(tmp_path.iterdir())
