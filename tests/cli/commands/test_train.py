import json
import re
import signal

import pandas as pd
import pytest
import yaml

from dialogue_ser.cli.commands.train import train_command
from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.training.loop import devices


def test_one_command_writes_a_complete_run_directory(trained):
    names = {path.name for path in trained.iterdir()}
    expected = {"config.yaml", "environment.json", "metrics.jsonl", "predictions.parquet", "scores.json", "report.html"}
    assert expected | {"checkpoints", "model"} <= names
    assert (trained / "model" / "README.md").read_text().startswith("---")
    assert json.loads((trained / "scores.json").read_text())["splits"].keys() == {"train", "dev", "test"}


def test_the_model_folder_contains_the_trained_model(trained):
    predictions = pd.read_parquet(trained / "predictions.parquet")
    assert (predictions["gold"] == predictions["predicted"]).mean() > 0.8  # the words of a turn show its label
    table = DialogueClassifier.from_pretrained(trained).predict([("Ann", "lovely great wow"), ("Bo", "stop never no")])
    assert list(table["predicted"]) == ["glad", "cross"]


def test_the_table_shows_f1_with_its_interval_and_where_the_report_is(config, cli, tmp_path):
    status, out, _ = cli("train", "--config", config, "--out", tmp_path / "run", "--training.epochs=1")
    assert status == 0
    assert "weighted F1" in out
    assert "test" in out
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())["splits"]["test"]["intervals"]["weighted_f1"]
    assert f"{scores['estimate']:.3f} [{scores['low']:.3f}, {scores['high']:.3f}]" in out
    assert f"report: {tmp_path / 'run' / 'report.html'}" in out
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["training"]["epochs"] == 1


def test_a_balanced_ensemble_says_which_turns_it_keeps_and_is_reported_as_one_model(config, cli, tmp_path):
    flags = ["--training.epochs=1", "--training.balance=downsample", "--training.ensemble=2"]
    status, out, _ = cli("train", "--config", config, "--out", tmp_path / "run", *flags)
    assert status == 0
    [line] = [line for line in out.splitlines() if line.startswith("kept for training: ")]
    kept = re.findall(r"(calm|cross|glad) (\d+) of (\d+) turns", line)
    assert len(kept) == 3
    assert {int(left) for _, left, _ in kept} == {min(int(before) for *_, before in kept)}
    assert "balance downsample, ensemble 2" in (tmp_path / "run/model/README.md").read_text()
    assert "balance downsample, ensemble 2" in (tmp_path / "run/report.html").read_text()
    table = DialogueClassifier.from_pretrained(tmp_path / "run").predict([("Ann", "lovely great wow")])
    predictions = pd.read_parquet(tmp_path / "run/predictions.parquet")
    assert set(table.columns) <= set(predictions.columns)


def test_runs_are_written_to_runs_slash_name(config, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("train", "--config", config, "--name", "mine", "--training.epochs=1")[0] == 0
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


def test_print_config_prints_yaml_and_trains_nothing(config, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = cli("train", "--config", config, "--print_config", "--seed=9")
    assert status == 0
    assert yaml.safe_load(out)["seed"] == 9
    assert not (tmp_path / "runs").exists()


def test_a_preset_without_its_data_says_how_to_get_it_and_writes_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "empty"))
    status, _, err = cli("train", "--preset", "source-emotion-rnn-text-simple", "--out", tmp_path / "run")
    assert status == 2
    assert "dialogue-ser data download meld" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "flag", ["--features.text.encoder=minlm", "--data.path=/nowhere.csv", "--features.text.options.n_filtres=3"]
)
def test_flags_that_cannot_work_are_an_error_before_anything_is_written(config, cli, tmp_path, flag):
    status, _, err = cli("train", "--config", config, "--out", tmp_path / "run", flag)
    assert (status, (tmp_path / "run").exists()) == (2, False)
    assert err.startswith("error: ")


def test_a_finished_run_is_not_overwritten(run, config):
    with pytest.raises(ConfigError, match="holds a finished run"):
        train_command(["--config", str(config), "--out", str(run)])


def test_resuming_a_finished_run_only_reports_again(run, cli):
    (run / "report.html").unlink()
    metrics = (run / "metrics.jsonl").read_bytes()
    assert cli("train", "--resume", run)[0] == 0
    assert (run / "report.html").is_file()
    assert (run / "metrics.jsonl").read_bytes() == metrics


def test_resuming_under_other_settings_is_refused_with_the_differences(run, cli):
    status, _, err = cli("train", "--resume", run, "--optimizer.learning_rate=0.5")
    assert status == 2
    assert "learning_rate" in err
    assert "--allow-mismatch" in err


# The run sends the signal itself, right after its fourth step, so the test needs no waiting.
INTERRUPTED = """
import os, signal, sys
from dialogue_ser.training.record.tracking import MetricsFile
from dialogue_ser.cli.main import main
write = MetricsFile.on_step
def on_step(self, state, row):
    write(self, state, row)
    if state.step == 4: os.kill(os.getpid(), signal.SIGINT)
MetricsFile.on_step = on_step
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_saves_exits_130_and_resume_ends_as_the_uninterrupted_run_did(config, trained, tmp_path, warm_process):
    script, out = tmp_path / "interrupted.py", tmp_path / "stopped"
    script.write_text(INTERRUPTED)
    done = warm_process.run([script, "train", "--config", config, "--out", out])
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "--resume" in done.stderr
    assert not (out / "report.html").exists()
    assert train_command(["--resume", str(out)]) == 0
    resumed, whole = (pd.read_parquet(folder / "predictions.parquet") for folder in (out, trained))
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)


def test_a_run_without_its_config_file_is_a_clear_error(tmp_path):
    with pytest.raises((ConfigError, MissingDataError), match="no run there"):
        train_command(["--resume", str(tmp_path)])


def test_of_several_processes_only_the_main_one_prints_and_reports(config, cli, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "is_main_process", lambda: False)
    status, out, err = cli("train", "--config", config, "--out", tmp_path / "run", "--training.epochs", "1")
    assert (status, out, err) == (0, "", "")
    assert not (tmp_path / "run" / "report.html").exists()


def test_one_command_trains_on_a_table_without_any_file_of_settings(cli, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--training.epochs", "1", "--model.options.global_dim=8", "--model.options.party_dim=8"]
    status, out, err = cli("train", "--data.path", "turns.csv", "--features.text.encoder", "textcnn", *flags)
    assert status == 0, err
    assert "run:    runs/turns-text" in out
    assert (tmp_path / "runs" / "turns-text" / "report.html").is_file()
