import shlex

from dialogue_ser.cli.main import main


def commands(path, capsys, *more: str) -> list[str]:
    capsys.readouterr()
    assert main(["sweep", "agent", str(path), *more]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_two_commands_of_wandb_are_printed_with_what_to_export(write_sweep, capsys, monkeypatch):
    monkeypatch.setenv("DIALOGUE_SER_DATA", "/data/my corpora")
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    path = write_sweep(("method:", "project: emotions\nentity: lab\nmethod:"))
    lines = commands(path, capsys, "--count", "5")
    assert [line for line in lines if not line.startswith("#")] == [
        "export WANDB_MODE=online",
        "export DIALOGUE_SER_DATA='/data/my corpora'",
        f"wandb sweep {shlex.quote(str(path))}",
        "wandb agent --forward-signals --count 5 lab/emotions/SWEEP_ID",
    ]
    assert "# export WANDB_API_KEY=YOUR_KEY" in lines


def test_a_project_is_named_if_the_file_names_none(write_sweep, capsys):
    lines = commands(write_sweep(), capsys)
    assert any(line.startswith("wandb sweep --project dialogue-ser ") for line in lines)
    assert lines[-1] == "wandb agent --forward-signals ENTITY/dialogue-ser/SWEEP_ID"


def test_variables_and_files_of_the_command_are_named(write_sweep, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET_HERE", "yes")
    monkeypatch.delenv("ABSENT", raising=False)
    (tmp_path / "base.yaml").write_text("seed: 3\n")
    new = "'--config=base.yaml', '--wandb.group=${envvar:SET_HERE}', '--name=${envvar:ABSENT}',"
    lines = commands(write_sweep(("--preset, quickstart,", new)), capsys)
    assert "export SET_HERE=yes" in lines
    assert any(line.startswith("# export ABSENT=VALUE") for line in lines)
    assert any("base.yaml: cd " in line for line in lines)


def test_a_file_with_mistakes_is_refused_and_a_wrong_count_too(write_sweep, capsys):
    assert main(["sweep", "agent", str(write_sweep(("random", "randm")))]) == 2
    assert main(["sweep", "agent", str(write_sweep(("dialogue-ser, train", "dialogue-ser")))]) == 2
    assert main(["sweep", "agent", str(write_sweep()), "--count", "0"]) == 2
    assert main(["sweep", "agent"]) == 2
    assert "did you mean 'random'" in capsys.readouterr().err
