import errno
import subprocess
import sys

import pytest

import dialogue_ser
from dialogue_ser.cli import main as room
from dialogue_ser.cli.main import COMMANDS, find_command, main
from dialogue_ser.errors import CorpusError


@pytest.mark.parametrize("tokens", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(cli, tokens):
    status, out, _ = cli(*tokens)
    assert status == 0
    assert all(name in out for name in COMMANDS)


def test_the_version_is_the_packages(cli):
    assert cli("--version")[:2] == (0, f"{dialogue_ser.__version__}\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(cli, name):
    status, out, err = cli(*name.split(), "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: dialogue-ser {name}")


@pytest.mark.parametrize("tokens", [["data", "--help"], ["data", "-h"], ["help", "data"]])
def test_the_help_of_a_group_names_its_commands_only(cli, tokens):
    status, out, err = cli(*tokens)
    assert (status, err) == (0, "")
    assert out.startswith("usage: dialogue-ser data COMMAND")
    assert [name for name in COMMANDS if f"  {name} " in out] == ["data describe", "data check", "data download"]


@pytest.mark.parametrize("name", ["compare", "presets show"])
def test_help_before_a_command_is_its_help(cli, name):
    assert cli("help", *name.split()) == cli(*name.split(), "--help")


NEED_NOTHING = {"encoders", "models", "presets", "published", "features list", "features verify", "features prune"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NEED_NOTHING - {"data describe", "data check"}))
def test_a_command_without_the_arguments_that_it_needs_exits_2_with_one_line(cli, name):
    status, out, err = cli(*name.split())
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"presets"}))
@pytest.mark.parametrize("wrong", ["--no-such-flag", "--no-such-flag=1"])
def test_a_wrong_flag_of_any_command_exits_2(cli, name, wrong):
    status, out, err = cli(*name.split(), wrong)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("tokens", "hint"),
    [
        (["presets", "shwo"], "unknown command 'presets shwo'; did you mean 'presets show'?"),
        (["features", "--store", "x"], "command 'features' needs a second word"),
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["data", "descibe"], "unknown command 'data descibe'; did you mean 'data describe'?"),
        (["data"], "known: data check, data describe, data download"),
    ],
)
def test_a_wrong_command_names_the_nearest_and_exits_2(cli, tokens, hint):
    status, out, err = cli(*tokens)
    assert (status, out) == (2, "")
    assert hint in err


def test_two_word_commands_win_over_one_word_ones():
    assert find_command(["presets", "show", "x"]) == ("presets show", ["x"])
    assert find_command(["presets", "--help"]) == ("presets", ["--help"])


def _raising(error):
    def run(tokens):
        raise error

    return run


def test_every_problem_of_a_user_error_is_printed_and_the_status_is_2(cli, monkeypatch):
    monkeypatch.setattr(room, "run", _raising(CorpusError("row 3: no text", "row 9: no text")))
    status, out, err = cli("train")
    assert (status, out) == (2, "")
    assert err == "error: row 3: no text\nerror: row 9: no text\n"


def test_ctrl_c_exits_130(cli, monkeypatch):
    monkeypatch.setattr(room, "run", _raising(KeyboardInterrupt()))
    assert cli("train")[0] == 130


def test_a_run_stopped_by_a_signal_keeps_its_status(monkeypatch):
    monkeypatch.setattr(room, "run", _raising(SystemExit(143)))
    assert main(["train"]) == 143


def test_a_full_disk_is_one_message_with_its_path(cli, monkeypatch):
    monkeypatch.setattr(room, "run", _raising(OSError(errno.ENOSPC, "No space left on device", "runs/a/metrics.jsonl")))
    status, _, err = cli("train")
    assert status == 2
    assert err.startswith("error: runs/a/metrics.jsonl: No space left on device; check the path")


def test_a_defect_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(room, "run", _raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["train"])


@pytest.mark.parametrize(
    "tokens",
    [
        ["--help"],
        ["presets"],
        ["presets", "show", "quickstart"],
        ["trian"],
        ["evaluate", "--help"],
        ["predict", "--help"],
    ],
)
def test_commands_that_need_no_torch_do_not_import_it(tokens):
    code = f"import sys; from dialogue_ser.cli.main import main; main({tokens}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_pipe_that_is_closed_early_is_no_error():
    command = f"{sys.executable} -m dialogue_ser.cli.main presets show quickstart | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
