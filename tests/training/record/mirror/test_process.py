import os
import time
from pathlib import Path

import pytest

from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.run_config import WandbConfig
from dialogue_ser.training.record.mirror import process
from dialogue_ser.training.record.mirror.process import WandbMirror, child_environment
from dialogue_ser.training.run import train

OFFLINE = WandbConfig(mode="offline")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror whose child is a shell script."""

    def make(script: str, config: WandbConfig = OFFLINE) -> WandbMirror:
        child = tmp_path / "child"
        child.write_text(f"#!/bin/sh\n{script}\n")
        child.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(child))
        made = WandbMirror(tmp_path, config)
        made.start()
        return made

    return make


def test_a_mirror_that_does_nothing_is_left_after_the_grace_time_with_one_warning(mirror, monkeypatch, caplog):
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.3)
    one = mirror("exec sleep 60")
    one.finish()
    assert len(caplog.records) == 1
    assert "it has not finished within 0.3 s" in caplog.text
    assert "metrics.jsonl is complete without it" in caplog.text
    one.finish()
    assert len(caplog.records) == 1


def test_a_mirror_that_says_that_it_works_gets_more_time_but_not_for_ever(mirror, monkeypatch, caplog):
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    beating = "read line; for i in 1 2 3 4 5 6; do sleep 0.2; echo; done"
    mirror(f"{beating}; exit 0").finish()
    assert not caplog.records
    monkeypatch.setattr(process, "MOST_SECONDS", {"offline": 0.6})
    started = time.monotonic()
    mirror(f"{beating}; {beating}").finish()
    assert time.monotonic() - started < 2
    assert len(caplog.records) == 1


def test_the_child_hears_that_the_run_is_complete(mirror, tmp_path):
    mirror(f'read line; echo "$line" > {tmp_path}/heard').finish()
    assert (tmp_path / "heard").read_text() == "complete\n"


def test_all_reasons_stand_in_one_warning_with_the_way_to_send_the_run_later(mirror, tmp_path, caplog):
    for name in ("run-1-a", "offline-run-2-a"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        (tmp_path / "wandb" / name / "run-a.wandb").write_bytes(b"x" * 2000)
        os.utime(tmp_path / "wandb" / name / "run-a.wandb", (int(name[-3]), int(name[-3])))
    mirror("echo offline the server is gone; echo problem no model; exit 0").finish()
    assert len(caplog.records) == 1
    assert "W&B: the server is gone; no model. metrics.jsonl is complete" in caplog.text
    assert caplog.text.strip().endswith(f"wandb sync {tmp_path}/wandb/offline-run-2-a")


@pytest.mark.parametrize("script", ["exit 3", "kill -9 $$"])
def test_a_mirror_that_dies_is_one_warning_and_no_promise(mirror, caplog, script):
    mirror(script).finish()
    assert len(caplog.records) == 1
    assert "its process ended with status" in caplog.text
    assert "wandb sync" not in caplog.text


def test_an_interrupted_run_ends_its_mirror_with_all_that_it_started(mirror, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(process, "STOP_GRACE_SECONDS", 0.3)
    one = mirror(f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/pid; touch {tmp_path}/ready; wait; wait")
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    one.abandon()
    pid = int((tmp_path / "pid").read_text())
    time.sleep(0.1)
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
    assert not caplog.records


def test_the_context_finishes_or_abandons(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(WandbMirror, "finish", lambda self: done.append("finish"))
    monkeypatch.setattr(WandbMirror, "abandon", lambda self: done.append("abandon"))
    with WandbMirror(tmp_path, OFFLINE):
        pass
    with pytest.raises(SystemExit), WandbMirror(tmp_path, OFFLINE):
        raise SystemExit
    assert done == ["finish", "abandon"]


def test_a_run_that_is_uploaded_says_where_to_and_another_one_says_nothing(mirror, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", "http://somewhere:8080")
    mirror("exit 0", WandbConfig(mode="online", project="mine", texts=True)).abandon()
    assert capsys.readouterr().err == (
        "W&B: this run is uploaded to http://somewhere:8080, project mine (wandb.mode is online); "
        "with the texts of all turns\n"
    )
    mirror("exit 0").abandon()
    assert capsys.readouterr().err == ""


def test_the_mirror_imports_nothing_from_the_working_folder(tmp_path, monkeypatch):
    for name in ("wandb", "yaml", "json", "dialogue_ser"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\nraise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(process.__file__).parents[4]))
    mirror = WandbMirror(tmp_path, OFFLINE)
    mirror.start()
    mirror.finish()  # it fails: the run has no config.yaml
    assert "config.yaml" in (tmp_path / "wandb.log").read_text()
    assert not (tmp_path / "was_run").exists()


def test_a_mirror_that_cannot_start_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("sys.executable", str(tmp_path / "missing"))
    mirror = WandbMirror(tmp_path, OFFLINE)
    mirror.start()
    mirror.finish()
    assert "could not be started" in caplog.text


def test_disabled_starts_nothing(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *args, **options: started.append(args))
    with WandbMirror(tmp_path, WandbConfig()) as mirror:
        mirror.start()
    assert not started
    assert not list(tmp_path.iterdir())


def test_the_child_works_elsewhere_so_its_paths_are_absolute_and_a_part_is_no_run_of_the_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {
        "PYTHONPATH": f".{os.pathsep}/other", "WANDB_DIR": "here", "WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r",
        "WANDB_MODE": "disabled", "WANDB_API_KEY": "k", "WANDB_SERVICE": "old",
    }  # fmt: skip
    found = child_environment(own, tmp_path, is_part=False)
    assert found == {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}/other", "WANDB_DIR": f"{tmp_path}/here", "WANDB_SWEEP_ID": "s",
        "WANDB_RUN_ID": "r", "WANDB_API_KEY": "k", "WANDB_DATA_DIR": f"{tmp_path}/wandb/data",
        "WANDB_ERROR_REPORTING": "false",
    }  # fmt: skip
    part = child_environment(own, tmp_path, is_part=True)
    assert set(found) - set(part) == {"WANDB_SWEEP_ID", "WANDB_RUN_ID"}


def test_a_training_with_a_mirror_offline_sends_its_curves_and_scores_but_no_transcript(
    tiny, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("PYTHONPATH", str(Path(tiny.__file__).parent))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = train(tiny.tiny_config(**{"training.epochs": 1, "wandb.mode": "offline"}), tmp_path / "run")
    assert "W&B" not in caplog.text
    (record,) = (run.folder / "wandb").glob("offline-run-*/run-*.wandb")
    content = record.read_bytes()
    for part in (
        b"dev/weighted_f1",
        b"train/loss",
        b"test/uar",
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
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert process.GRACE_SECONDS < 10
    started = time.monotonic()
    run = train(tiny.tiny_config(**{"training.epochs": 1, "wandb.mode": "online"}), tmp_path / "run")
    assert time.monotonic() - started < 20  # grace, and the run itself on a busy machine
    warnings = [record.message for record in caplog.records if record.name == process.__name__]
    assert len(warnings) == 1
    assert "http://127.0.0.1:9" in warnings[0]
    assert run.scores == plain.scores
    plain_steps, steps = (
        [row for row in RunFiles(folder).history if row["kind"] == "step"] for folder in (plain.folder, run.folder)
    )
    assert plain_steps == steps
    assert "0" * 40 not in "".join(path.read_text() for path in run.folder.glob("*.*") if path.suffix != ".parquet")
