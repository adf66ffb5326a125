import json
import os
import time

import psutil
import pytest

from benchmarks.wandb_faults.server import fake_server
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.record.mirror import child
from dialogue_ser.training.record.mirror.child import Sender, Way, follow, mirror, wait_for_server
from dialogue_ser.training.record.mirror.content import history_of, summary_of
from dialogue_ser.training.record.mirror.offline_file import refuse_unless_whole


class FakeRun:
    """A W&B run that keeps what it gets."""

    starting_step = 0

    def __init__(self) -> None:
        self.logged: dict[int, dict] = {}
        self.summary: dict = {}

    def log(self, values: dict, step: int) -> None:
        self.logged[step] = values


def test_following_waits_for_half_lines_and_ends_at_the_summary_or_with_the_parent(tmp_path, fake_parent):
    path = tmp_path / "metrics.jsonl"
    first = json.dumps({"kind": "step", "n": 1}) + "\n"
    path.write_text(first + '{"kind": "step", "n": 2}\n{"kind": "summary"}\n{"kind": "step", "n": 3}\n')
    running = fake_parent(is_complete=False)
    assert [row.get("n") for row in follow(path, running)] == [1, 2, None]
    path.write_text(first + '{"kind": "st')
    assert [row["n"] for row in follow(path, fake_parent(is_complete=False, is_gone=True))] == [1]  # and no waiting


def epoch(number: int, score: float, *, is_best: bool) -> dict:
    return {"kind": "epoch", "epoch": number, "step": 2 * number, "dev": {"uar": score}, "is_best": is_best}


def test_the_summary_is_that_of_the_chosen_epoch_and_not_of_the_last():
    run = FakeRun()
    sender = Sender(run)
    for row in (epoch(1, 0.7, is_best=True), epoch(2, 0.6, is_best=False)):
        sender.send(row)
    assert (run.summary["best_epoch"], run.summary["dev/uar"]) == (1, 0.7)
    assert run.logged[1]["dev/uar"] == 0.6
    sender.send({"kind": "summary", "best_epoch": 1, "scores": {"test": {"uar": 0.5}}})
    assert run.summary["test/uar"] == 0.5
    assert set(run.logged) == {0, 1}


def test_a_resumed_run_sends_no_line_twice_and_knows_the_best_epoch():
    run = FakeRun()
    run.starting_step = 2  # W&B has lines 0 and 1 already
    sender = Sender(run)
    for number in (1, 2, 3):
        sender.send(epoch(number, 0.9 - 0.1 * number, is_best=number == 1))
    assert set(run.logged) == {2}
    assert run.summary["best_epoch"] == 1


def test_an_ensemble_has_no_epochs_so_its_scores_are_in_the_history_where_a_sweep_looks_for_them():
    run = FakeRun()
    Sender(run).send({"kind": "summary", "best_epoch": None, "seconds": 1, "scores": {"dev": {"uar": 0.5}}})
    assert run.logged == {0: {"dev/uar": 0.5}}


def test_an_offline_run_has_everything_that_the_run_knows_and_no_text(offline):
    finished_run, send = offline
    folder = finished_run(tags=["a", "b" * 80], group="g", job_type="fold")
    found = send(folder)
    rows = RunFiles(folder).history
    steps = {
        record.history.step.num: record.history for record in found if record.WhichOneof("record_type") == "history"
    }
    for number, row in enumerate(rows[:-1]):
        sent = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in steps[number].item}
        assert {name: value for name, value in sent.items() if not name.startswith("_")} == history_of(row)
    summary = {}
    for record in found:
        if record.WhichOneof("record_type") == "summary":
            for item in record.summary.update:
                summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    assert {name: summary.get(name) for name in summary_of(rows[-1])} == summary_of(rows[-1])
    (start,) = (record.run for record in found if record.WhichOneof("record_type") == "run")
    assert (start.run_group, start.job_type, list(start.tags)) == ("g", "fold", ["a", "b" * 64])
    assert start.display_name == load_record(folder / "config.yaml").name
    sent = {item.key: json.loads(item.value_json) for item in start.config.update}
    assert sent["optimizer"]["learning_rate"] == load_record(folder / "config.yaml").optimizer.learning_rate
    assert "torch" in sent["environment"]["packages"]
    charts = {name.rpartition("/")[0] for name in summary}
    for chart in ("confusion/test_table", "roc/dev_table", "predictions/train", "per_class", "floors", "report"):
        assert chart in charts, chart
    artifacts = [record.artifact for record in found if record.WhichOneof("record_type") == "artifact"]
    (model,) = (one for one in artifacts if one.type == "model")
    inside = {path.relative_to(folder / "model").as_posix() for path in (folder / "model").rglob("*") if path.is_file()}
    assert {entry.path for entry in model.manifest.contents} == inside
    assert "README.md" in inside
    texts = [text for text in RunFiles(folder).predictions.frame["text"].dropna() if len(text) > 12]
    media = b"".join(path.read_bytes() for path in (folder / "wandb").rglob("*") if path.is_file())
    assert texts
    assert not [text for text in texts if text.encode() in media]
    assert b"numbers and texts" not in media
    assert b"confusion" in media


def test_texts_are_sent_when_they_are_asked_for_and_a_model_is_not_if_it_is_not_wanted(offline):
    finished_run, send = offline
    folder = finished_run(texts=True, model=False)
    found = send(folder)
    text = next(text for text in RunFiles(folder).predictions.frame["text"].dropna() if len(text) > 12)
    media = b"".join(path.read_bytes() for path in (folder / "wandb").rglob("*") if path.is_file())
    assert json.dumps(text).encode() in media
    assert b"numbers and texts" in media
    assert not [1 for record in found if record.artifact.type == "model"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # W&B leaves the sweep's file open
def test_in_a_sweep_the_variables_alone_decide_id_and_project_and_no_setting_is_there_twice(
    offline, monkeypatch, tmp_path, capfd
):
    finished_run, send = offline
    folder = finished_run(project="not-this-one", model=False)
    (tmp_path / "sweep.yaml").write_text(
        "wandb_version: 1\n\noptimizer.learning_rate:\n  value: 0.5\ntraining:\n  value:\n    epochs: 3\n"
    )
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "sweep.yaml"))
    for name, value in {"SWEEP_ID": "k3f9a2xq", "RUN_ID": "r1", "PROJECT": "of-the-sweep"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    (start,) = (record.run for record in send(folder) if record.WhichOneof("record_type") == "run")
    assert (start.run_id, start.project, start.sweep_id, start.display_name) == ("r1", "of-the-sweep", "k3f9a2xq", "")
    sent = {item.key: json.loads(item.value_json) for item in start.config.update}
    assert sent["optimizer.learning_rate"] == 0.5
    assert "learning_rate" not in sent["optimizer"]
    assert sent["training"] == {"epochs": 3}
    assert sent["training.batch_size"] == load_record(folder / "config.yaml").training.batch_size
    assert "Ignoring" not in "".join(capfd.readouterr())


def test_a_run_that_is_sent_to_a_server_and_resumed_is_there_once_under_one_id(
    finished_run, wandb_library, monkeypatch, fake_parent
):
    import wandb

    folder = finished_run(mode="online", model=False)
    (folder / "predictions.parquet").unlink()
    (folder / "scores.json").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    config = load_record(folder / "config.yaml")
    with fake_server("live") as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        (folder / "metrics.jsonl").write_text("".join(lines[:-3]))
        mirror(folder, config, Way("online", server.url), fake_parent(is_complete=False, is_gone=True))
        wandb.teardown()
        assert (server.is_complete, server.exit_code) == (True, 143)
        (folder / "metrics.jsonl").write_text("".join(lines))
        mirror(folder, config, Way("online", server.url), fake_parent())
        wandb.teardown()
        assert (server.is_complete, server.exit_code) == (True, 0)
        assert len({run["name"] for run in server.runs}) == 1
        sent = [{name: value for name, value in line.items() if name[0] != "_"} for line in server.history]
        assert sent[: len(lines) - 1] == [history_of(row) for row in RunFiles(folder).history[:-1]]
        assert server.summary["best_epoch"] == RunFiles(folder).summary["best_epoch"]


@pytest.mark.parametrize("kind", ["refusing", "no key"])
def test_a_server_that_refuses_the_key_gets_nothing_and_the_run_is_written_instead(
    kind, finished_run, wandb_library, monkeypatch, fake_parent
):
    folder = finished_run(mode="online", model=False)
    (folder / "predictions.parquet").unlink()
    if kind == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    with fake_server("refusing" if kind == "refusing" else "live") as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        way = Way("online", server.url)
        mirror(folder, load_record(folder / "config.yaml"), way, fake_parent())
    assert way.mode == "offline"
    assert ("401" if kind == "refusing" else "API key") in way.problem
    assert not way.is_alive()
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    refuse_unless_whole(file)


def test_a_service_that_dies_is_an_error_at_once_and_another_process_begins_again(
    finished_run, wandb_library, monkeypatch, fake_parent
):
    folder = finished_run(model=False)
    config = load_record(folder / "config.yaml")
    send = Sender.send

    def kill_first(self, row):
        if self.n_lines == 1:
            for process in psutil.Process().children(recursive=True):
                if "wandb-core" in " ".join(process.cmdline()):
                    process.kill()
                    process.wait(5)
        send(self, row)

    monkeypatch.setattr(Sender, "send", kill_first)
    started = time.monotonic()
    with pytest.raises(ConnectionError):
        mirror(folder, config, Way("offline", ""), fake_parent())
    assert time.monotonic() - started < 10
    monkeypatch.setattr(os, "execv", lambda program, command: (_ for _ in ()).throw(SystemExit(" ".join(command))))
    parent = fake_parent()
    parent.number, parent.hand_on = 7, lambda: None
    with pytest.raises(SystemExit, match=r"mirror.child .*/run --instead Connection lost --parent 7 --complete$"):
        child._begin_again(folder, "Connection lost", parent)


def test_a_server_is_waited_for_while_the_training_goes_on(monkeypatch, fake_parent):
    answers = iter(["gone", "gone", ""])
    monkeypatch.setattr(child, "problem_of", lambda server: next(answers))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert wait_for_server("x", fake_parent(is_complete=False)) == ""
    monkeypatch.setattr(child, "problem_of", lambda server: "gone")
    assert wait_for_server("x", fake_parent()) == "gone"
    assert wait_for_server("x", fake_parent(is_complete=False), seconds=0.0) == "gone"
