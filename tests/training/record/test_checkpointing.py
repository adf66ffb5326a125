import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dialogue_ser.errors import CheckpointError
from dialogue_ser.training.record.checkpoint import CheckpointFolder
from dialogue_ser.training.run import train

EVERY = "training.checkpoint_every_steps"


def metrics(folder: Path) -> list[dict]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in found:  # time and memory are of the process, everything else must be equal
        row.pop("seconds", None)
        row.pop("peak_memory_bytes", None)
    return found


def assert_equal_runs(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    frames = [pd.read_parquet(folder / "predictions.parquet") for folder in (one, other)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert (one / "model/model.safetensors").read_bytes() == (other / "model/model.safetensors").read_bytes()
    newest = [CheckpointFolder(folder / "checkpoints").load_newest() for folder in (one, other)]
    assert newest[0].name == newest[1].name
    # Run-time type checks of the test suite draw from python's generator (beartype); tests/training/loop/test_rng.py
    # has it.
    for name, tensor in newest[0].tensors.items():
        if name.startswith("rng/python"):
            continue
        assert tensor.numpy().tobytes() == newest[1].tensors[name].numpy().tobytes(), name


@pytest.mark.parametrize("sampling", ["shuffled", "bucketed"])
def test_a_run_killed_inside_an_epoch_resumes_bitwise_equal(tiny, script, tmp_path, sampling):
    settings = {EVERY: 3, "training.sampling": sampling}
    whole = train(tiny.tiny_config(**settings), tmp_path / "whole").folder
    # Step 8 is the third of epoch 2: after the checkpoint at step 6, with two more lines already in metrics.jsonl.
    options = ["--set", *(f"{name}={value}" for name, value in settings.items())]
    killed = script("tiny.py", tmp_path / "killed", "--kill-at", 8, *options)
    assert killed.returncode == -9
    assert not (tmp_path / "killed/predictions.parquet").exists()
    assert len(metrics(tmp_path / "killed")) == 9  # 8 steps and an epoch
    train(tiny.tiny_config(**settings), tmp_path / "killed", resume=True)
    assert_equal_runs(whole, tmp_path / "killed")


@pytest.mark.parametrize("name", ["fusion-attention", "emotion-rnn"])
def test_statistics_masks_rates_and_penalties_resume_bitwise_equal_too(tiny, script, tmp_path, name):
    text = {"encoder": "framed:WordLetters"}
    if name == "emotion-rnn":
        options = {"frames": "framed:WordLetters", "units": 4, "recurrent_dropout": 0.4}
        text = {"encoder": "gru-attention", "options": options}
    settings = {
        EVERY: 3,
        "features": {"text": text},
        "model": {"name": name, "options": {}},
        "optimizer": {"name": "sgd", "schedule": "inverse-time", "decay": 0.1, "l2": {"*.gru": 0.01}, "momentum": 0.0},
        "training.epochs": 2,
    }
    whole = train(tiny.tiny_config(**settings), tmp_path / "whole").folder
    options = ["--set", *(f"{name}={json.dumps(value)}" for name, value in settings.items())]
    killed = script("tiny.py", tmp_path / "killed", "--kill-at", 8, *options)
    assert killed.returncode == -9
    train(tiny.tiny_config(**settings), tmp_path / "killed", resume=True)
    assert_equal_runs(whole, tmp_path / "killed")
    tensors = CheckpointFolder(whole / "checkpoints").load_newest().tensors
    assert [key for key in tensors if key.startswith("model/") and key.endswith("running_mean")]


def test_a_run_stopped_at_the_last_step_of_an_epoch_reports_the_rate_of_that_step(tiny, script, tmp_path):
    settings = {"optimizer.schedule": "linear", "training.epochs": 2}
    whole = train(tiny.tiny_config(**settings), tmp_path / "whole").folder
    options = ["--set", *(f"{name}={value}" for name, value in settings.items())]
    script("tiny.py", tmp_path / "stopped", "--kill-at", 5, "--kill-with", "TERM", *options)
    assert len(metrics(tmp_path / "stopped")) == 5, "stopped after the steps of the epoch, before its line"
    train(tiny.tiny_config(**settings), tmp_path / "stopped", resume=True)
    assert_equal_runs(whole, tmp_path / "stopped")


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tiny, script, tmp_path, caplog):
    whole = train(tiny.tiny_config(), tmp_path / "whole").folder
    assert script("tiny.py", tmp_path / "killed", "--kill-at", 2).returncode == -9
    train(tiny.tiny_config(), tmp_path / "killed", resume=True)
    assert "starts from its beginning" in caplog.text
    assert_equal_runs(whole, tmp_path / "killed")


@pytest.mark.parametrize(("name", "status"), [("TERM", 143), ("INT", 130)])
def test_a_signal_checkpoints_at_the_step_boundary_and_the_run_goes_on_equal(tiny, script, tmp_path, name, status):
    whole = train(tiny.tiny_config(), tmp_path / "whole").folder
    stopped = script("tiny.py", tmp_path / "stopped", "--kill-at", 7, "--kill-with", name)
    assert stopped.returncode == status
    assert "stopped at step 8; continue with dialogue-ser train --resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert CheckpointFolder(tmp_path / "stopped/checkpoints").names()[-1] == "epoch-0001-step-00000008"
    train(tiny.tiny_config(), tmp_path / "stopped", resume=True)
    assert_equal_runs(whole, tmp_path / "stopped")


def test_a_damaged_newest_checkpoint_falls_back_and_still_ends_equal(tiny, tmp_path, caplog):
    whole = train(tiny.tiny_config(**{EVERY: 2}), tmp_path / "whole").folder
    again = train(tiny.tiny_config(**{EVERY: 2}), tmp_path / "again").folder
    newest = CheckpointFolder(again / "checkpoints").names()[-1]
    path = again / "checkpoints" / newest / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    lines = (again / "metrics.jsonl").read_text().splitlines(keepends=True)
    (again / "metrics.jsonl").write_text("".join(lines[:-1]))  # no summary: not finished
    train(tiny.tiny_config(**{EVERY: 2}), again, resume=True)
    assert "does not match its manifest" in caplog.text
    assert_equal_runs(whole, again)


#: With this seed, epochs 3 and 5 are the best so far and epoch 4 is not.
WORSE_THEN_BETTER = {"seed": 2, "training.epochs": 6}


@pytest.fixture(scope="module")
def both_runs(tmp_path_factory):
    """An empty folder for the runs of :func:`stopped`, so that they are made only once."""
    return tmp_path_factory.mktemp("both")


@pytest.fixture
def stopped(tiny, script, tmp_path, both_runs):
    """A run that was killed after epoch 5 (a copy for each test), and the same run without an interruption."""
    if not list(both_runs.iterdir()):
        train(tiny.tiny_config(**WORSE_THEN_BETTER), both_runs / "whole")
        options = ["--set", *(f"{name}={value}" for name, value in WORSE_THEN_BETTER.items())]
        assert script("tiny.py", both_runs / "killed", "--kill-at", 27, *options).returncode == -9
    killed = Path(shutil.copytree(both_runs / "killed", tmp_path / "killed"))
    names = CheckpointFolder(killed / "checkpoints").names()
    assert [name[:10] for name in names] == ["epoch-0003", "epoch-0004", "epoch-0005"], "epoch 4 needs epoch 3"
    return both_runs / "whole", killed


def test_a_damaged_newest_checkpoint_that_was_the_best_falls_back_to_a_complete_one(tiny, stopped, caplog):
    whole, killed = stopped
    (killed / "checkpoints" / "epoch-0005-step-00000025" / "manifest.json").write_bytes(b"")
    train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)
    assert "using the checkpoint before epoch-0005-step-00000025: epoch-0004-step-00000020" in caplog.text
    assert_equal_runs(whole, killed)


def test_without_a_usable_checkpoint_nothing_is_changed_and_the_error_says_why(tiny, stopped):
    _, killed = stopped
    before = (killed / "metrics.jsonl").read_bytes()
    for path in (killed / "checkpoints").glob("*/state.json"):
        path.write_bytes(b"{")
    with pytest.raises(CheckpointError, match=r"no checkpoint can be used; metrics\.jsonl was not changed") as caught:
        train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)
    assert sum("does not match its manifest" in problem for problem in caught.value.problems) == 3
    shutil.rmtree(killed / "checkpoints")
    with pytest.raises(CheckpointError, match=r"the run was in epoch 6 .* its checkpoints are gone"):
        train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)
    assert (killed / "metrics.jsonl").read_bytes() == before


def test_changed_metrics_are_noticed_and_the_checkpoint_before_the_change_is_used(tiny, stopped, caplog):
    whole, killed = stopped
    content = bytearray((killed / "metrics.jsonl").read_bytes())
    state = CheckpointFolder(killed / "checkpoints").load("epoch-0004-step-00000020").state
    content[state["metrics_bytes"] + 100] ^= 1
    (killed / "metrics.jsonl").write_bytes(content)
    train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)
    assert "its lines are not those that the run had written at the checkpoint epoch-0005" in caplog.text
    assert_equal_runs(whole, killed)


def test_the_checkpoints_of_another_run_are_refused_also_if_the_run_lost_its_name(tiny, stopped, tmp_path):
    _, killed = stopped
    other = train(tiny.tiny_config(**WORSE_THEN_BETTER | {"seed": 3}), tmp_path / "other").folder
    shutil.rmtree(killed / "checkpoints")
    shutil.copytree(other / "checkpoints", killed / "checkpoints")
    with pytest.raises(CheckpointError, match=r"is a checkpoint of another run \(run \w+, this is run \w+\)"):
        train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)
    (killed / "environment.json").unlink()
    with pytest.raises(CheckpointError, match="the checkpoints are of a run with other settings"):
        train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True)


def test_a_run_of_an_older_version_or_without_its_environment_resumes(tiny, stopped):
    whole, killed = stopped
    environment = json.loads((killed / "environment.json").read_text())
    (killed / "environment.json").unlink()
    for path in [killed / "checkpoints" / "epoch-0004-step-00000020" / "manifest.json"]:
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({name: manifest[name] for name in ("format_version", "files")}))
    (killed / "checkpoints" / "epoch-0005-step-00000025" / "state.json").unlink()
    run = train(tiny.tiny_config(**WORSE_THEN_BETTER), killed, resume=True).folder
    assert json.loads((run / "environment.json").read_text())["run_id"] == environment["run_id"]
    assert_equal_runs(whole, killed)


def test_only_the_newest_and_the_best_checkpoints_are_kept(tiny, tmp_path):
    settings = {"training.epochs": 5, "optimizer.learning_rate": 0.0, "training.keep_checkpoints": 2}
    run = train(tiny.tiny_config(**settings), tmp_path / "run")  # nothing is learned, so the first epoch stays the best
    names = CheckpointFolder(run.folder / "checkpoints").names()
    assert names == ["epoch-0001-step-00000005", "epoch-0004-step-00000020", "epoch-0005-step-00000025"]


def test_a_checkpoint_records_how_long_the_metrics_were(tiny, tmp_path):
    run = train(tiny.tiny_config(**{EVERY: 3}), tmp_path / "run")
    folder = CheckpointFolder(run.folder / "checkpoints")
    content = (run.folder / "metrics.jsonl").read_bytes()
    for name in folder.names():
        state = folder.load(name).state
        cut = content[: state["metrics_bytes"]].decode()
        assert cut.endswith("\n")
        assert json.loads(cut.splitlines()[-1])["step"] == state["step"]
