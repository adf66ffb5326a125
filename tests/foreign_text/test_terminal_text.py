"""Control characters of names and labels never reach the terminal."""

import logging

import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.foreign_text.terminal_text import VisibleFormatter, visible

EVIL = "\x1b]0;title\x07\x1b[2J\r\x9b31m\u202e\x7f\x00"


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("", "a\tb\nc", "नमस्ते, é, 你好, שלום\u200f, 👩\u200d🚀", "C:\\data", "joy:high"):
        assert visible(text) == text


def test_every_control_character_becomes_an_escape() -> None:
    assert visible(EVIL) == r"\x1b]0;title\x07\x1b[2J\r\x9b31m\u202e\x7f\x00"
    assert visible("\ud800") == r"\ud800"


def test_messages_of_errors_and_log_lines_are_visible() -> None:
    assert str(DialogueSerError(f"label {EVIL}")) == f"label {visible(EVIL)}"
    record = logging.LogRecord("a", logging.WARNING, "", 0, "speaker %s", (EVIL,), None)
    assert VisibleFormatter().format(record) == f"speaker {visible(EVIL)}"


@pytest.mark.parametrize("command", ["describe", "check"])
def test_no_command_on_a_table_shows_its_control_characters(tmp_path, capfd, command) -> None:
    file = tmp_path / "turns.csv"
    name = EVIL.replace("\x00", "").replace("\r", "")
    file.write_text(f"dialogue,speaker,text,emotion\n{name},{name},hello,{name}\nd2,a,b,joy\n", encoding="utf-8")
    main(["data", command, "--path", str(file)])
    shown = "".join(capfd.readouterr())
    assert r"\x1b]0;title" in shown
    assert not set(shown) & set(name) & {"\x1b", "\x07", "\x9b", "\u202e", "\x7f"}


def test_names_in_a_configuration_are_visible_in_errors(tmp_path, capfd) -> None:
    file = tmp_path / "run.yaml"
    file.write_text('"na\\eme": 1\ndata: {reader: "sam\\e[31mple"}\n')
    assert main(["train", "--config", str(file)]) == 2
    shown = capfd.readouterr().err
    assert r"na\x1bme" in shown
    assert "\x1b" not in shown
