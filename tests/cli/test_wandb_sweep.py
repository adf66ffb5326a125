"""Under an agent of W&B, ``train`` needs no flag: the folder and the mode follow from W&B's variables."""

import pytest

from dialogue_ser.cli.run_arguments import parse_train

SWEEP = {"WANDB_SWEEP_ID": "k3f9a2xq", "WANDB_RUN_ID": "p8d2"}


def request(*tokens, **environment):
    return parse_train(["--preset", "quickstart", *tokens], environment={**SWEEP, **environment})


def test_every_run_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert request().out.as_posix() == "runs/k3f9a2xq/p8d2"
    assert request("--out", "mine").out.as_posix() == "mine"
    assert parse_train(["--preset", "quickstart"], environment={}).out is None


def test_a_run_that_the_agent_starts_again_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not request().resume
    folder = tmp_path / "runs" / "k3f9a2xq" / "p8d2"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: a\n")
    assert request().resume
    assert not parse_train(["--preset", "quickstart"], "crossval", environment=SWEEP).resume


@pytest.mark.parametrize(
    ("tokens", "variable", "mode"),
    [
        ([], None, "online"),
        ([], "offline", "offline"),
        ([], "dryrun", "offline"),
        ([], "disabled", "disabled"),
        (["--wandb.mode=offline"], "online", "offline"),
    ],
)
def test_the_mode_is_what_wandb_says(tokens, variable, mode):
    found = request(*tokens, **({} if variable is None else {"WANDB_MODE": variable}))
    assert found.config.wandb.mode == mode


def test_an_id_that_is_a_path_stays_inside_of_runs():
    assert request(WANDB_RUN_ID="../../up").out.as_posix() == "runs/k3f9a2xq/-..-up"
    assert request(WANDB_RUN_ID="..").out is None
