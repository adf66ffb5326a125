import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dialogue_ser.features.transforms import TRANSFORMS
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.loop.interrupt import Interrupted

PRESETS = [name for name in preset_names() if name.startswith("nemo-")]


@pytest.fixture(scope="module")
def nemo(tmp_path_factory, write_nemo) -> Path:
    return write_nemo(tmp_path_factory.mktemp("nemo"), n_each=1)


def test_one_command_writes_scores_and_shows_them(nemo, cli, tmp_path):
    out = tmp_path / "out"
    flags = ["--data.path", nemo, "--out", out, "--features.audio.options.processes", "1"]
    status, text, err = cli("crossval", "--preset", "nemo-egemaps-svm", *flags)
    assert (status, err) == (0, "")
    scores = json.loads((out / "scores.json").read_text())
    assert len(scores["folds"]) == 4
    for part in (scores["pooled"], *scores["folds"]):
        assert 0 <= part["uar"] <= 1
        assert 0 <= part["accuracy"] <= 1
    assert scores["extraction"]["audio"]["encoded"] == 24
    assert scores["config"]["features"]["audio"]["options"] == {"feature_set": "eGeMAPSv02", "processes": 1}
    assert len(pd.read_parquet(out / "predictions.parquet")) == 48
    for said in (
        "AA0",
        "over all folds",
        f"{scores['pooled']['uar']:.3f}",
        "mean ± std",
        "24 utterances encoded",
        "scores.json",
        "macro F0.5",
        "AUC",
        "as anger",
    ):
        assert said in text
    assert "unlabelled" not in text
    assert "published" not in text  # no document publishes numbers on nEMO
    assert f"report: {out / 'report.html'}" in text
    assert (out / "figures" / "roc.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = cli("crossval", "--preset", "nemo-egemaps-svm", *flags)
    assert (status, "holds a finished run" in err) == (2, True)
    (out / "report.html").unlink()
    before = (out / "scores.json").read_bytes()
    status, again, _ = cli("evaluate", out)
    assert status == 0
    assert again.splitlines()[:12] == text.splitlines()[:12]
    assert (out / "report.html").is_file()
    assert (out / "scores.json").read_bytes() == before
    assert "leave --split, --report and --metrics out" in cli("evaluate", out, "--split", "test")[2]


def test_flags_reach_the_estimator_and_the_features(nemo, cli, tmp_path):
    flags = ["--data.path", nemo, "--out", tmp_path / "out", "--crossval.estimator=logistic", "--name=probe"]
    flags += ["--crossval.inverse_regularisation=[0.1, 1.0]", "--features.audio.transforms=[impute, rank]"]
    status, _, err = cli("crossval", "--preset", "nemo-egemaps-svm-speaker-norm", *flags)
    assert (status, err) == (0, "")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["name"], scores["system"]) == ("probe", "logistic")
    assert {one["inverse_regularisation"] for one in scores["folds"][0]["chosen"]["dev_scores"]} == {0.1, 1.0}
    assert scores["uses_unlabelled_test_recordings"] is False  # the transform rank does not


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_in_their_name_whether_test_recordings_are_used(name):
    assert len(PRESETS) >= 4
    config = load_preset(name)
    assert config.name == name
    assert any(TRANSFORMS[kind].is_transductive for kind in config.features["audio"].transforms) == name.endswith(
        "-speaker-norm"
    )


def test_print_config_runs_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = cli("crossval", "--preset", "nemo-compare-svm", "--print_config", "--crossval.refit=train")
    assert status == 0
    assert yaml.safe_load(out)["crossval"]["refit"] == "train"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_a_clear_error(nemo, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "nowhere"))
    status, _, err = cli("crossval", "--preset", "nemo-egemaps-svm", "--out", tmp_path / "out")
    assert (status, "nemo: no such folder" in err, (tmp_path / "out").exists()) == (2, True, False)
    assert "crossval: nothing to train" in cli("crossval")[2]
    assert "dialogue-ser crossval" in cli("train", "--preset", "nemo-egemaps-svm")[2]
    status, _, err = cli("crossval", "--preset", "nemo-egemaps-svm", "--crossval.estimator=linear-svn")
    assert (status, "did you mean 'linear-svm'" in err) == (2, True)


@pytest.mark.parametrize(("stop", "expected"), [(KeyboardInterrupt(), 130), (Interrupted(15, "stopped"), 143)])
def test_a_stopped_cross_validation_says_how_to_continue(nemo, cli, tmp_path, monkeypatch, stop, expected):
    def cross_validate(*_, **__):
        raise stop

    monkeypatch.setattr("dialogue_ser.evaluation.crossval.cross_validate.cross_validate", cross_validate)
    out = tmp_path / "out"
    status, _, err = cli("crossval", "--preset", "nemo-egemaps-svm", "--data.path", nemo, "--out", out)
    assert status == expected
    assert f"stopped: run the same command with --out {out} again to continue" in err


def test_notes_of_the_corpus_reader_are_printed(nemo, cli, tmp_path, write_iemocap):
    tree = write_iemocap(tmp_path / "iemocap")
    train = f"{{reader: iemocap, path: {tree}, labels: shared-5}}"
    options = f"{{train: {train}, test: {{reader: nemo, path: {nemo}}}}}"
    flags = ["--data.reader=cross-corpus", f"--data.options={options}", "--data.cut.protocol=own-splits"]
    flags += ["--features.audio=null", "--features.text.encoder=minilm", "--out", tmp_path / "out"]
    status, text, err = cli("crossval", "--preset", "nemo-egemaps-svm", *flags)
    assert (status, err) == (0, "")
    assert "reader: test (nemo): turns with labels that are not in the map: surprised 4" in text
    assert "own-splits" in text
    assert "mean ± std" not in text  # there is one fold
    assert "95 % over dialogues" in " ".join(text.split())


def test_groups_of_speakers_can_be_run_at_reduced_size(cli, tmp_path, record_numbers):
    flags = ["--data.cut.protocol=k-fold-speakers", "--data.cut.n_folds=3", "--smoke", "--out", tmp_path / "out"]
    with record_numbers.few_turns("meld-text"):
        status, text, err = cli("crossval", "--preset", "nemo-egemaps-svm", *flags)
    assert (status, [line for line in err.splitlines() if "has no turn of" not in line]) == (0, [])
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [len(fold["speakers"]["test"]) for fold in scores["folds"]] == [2, 2, 2]
    assert "group-3" in text


def test_one_fold_is_a_run_of_its_own(nemo, cli, tmp_path):
    flags = ["--data.path", nemo, "--training.epochs=1", "--training.device=cpu", "--out", tmp_path / "out"]
    status, _, err = cli("train", "--preset", "nemo-gru-attention", *flags)
    assert status == 2
    assert "leave-one-speaker-out has 4 folds (AA0, BB0, CC0, DD0); name one with --data.cut.fold" in err
    status, _, _ = cli("train", "--preset", "nemo-gru-attention", "--data.cut.fold", "BB0", *flags)
    assert status == 0
    frame = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert set(frame.loc[frame["split"] == "test", "speaker"]) == {"BB0"}
    assert "leave-one-speaker-out, fold BB0" in (tmp_path / "out" / "report.html").read_text()
    before = (tmp_path / "out" / "predictions.parquet").read_bytes()
    assert cli("train", "--resume", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "predictions.parquet").read_bytes() == before


def test_a_cross_validation_in_a_sweep_of_wandb_has_a_folder_of_its_own_and_goes_on(cli, tmp_path, monkeypatch):
    from dialogue_ser.cli.commands import crossval

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "k3f9a2xq")
    monkeypatch.setenv("WANDB_RUN_ID", "p8d2")
    seen = []
    monkeypatch.setattr(crossval, "_run_folds", lambda request: seen.append(request) or 0)
    folder = tmp_path / "runs" / "k3f9a2xq" / "p8d2"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: begun")
    status, _, err = cli("crossval", "--data.reader", "sample", "--features.text.encoder", "minilm")
    assert status == 0, err
    assert seen[0].out.as_posix() == "runs/k3f9a2xq/p8d2"
    assert seen[0].config.wandb.mode == "disabled"  # the tests set WANDB_MODE
