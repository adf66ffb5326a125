"""docs/corpora.md says nothing that does not run."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

from dialogue_ser.cli.main import main
from dialogue_ser.corpus.readers import read_corpus

PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


@pytest.fixture
def blocks(tmp_path, monkeypatch) -> dict[str, str]:
    found = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
    (tmp_path / "chat.csv").write_text(found["csv"])
    monkeypatch.chdir(tmp_path)
    return found


def test_python_of_the_page_prints_the_first_dialogue(blocks, capsys):
    Path("page.py").write_text(blocks["python"])
    runpy.run_path("page.py")
    assert capsys.readouterr().out == "['Hello, you!', 'NA']\n"


def test_yaml_of_the_page_is_the_same_corpus(blocks):
    data = yaml.safe_load(blocks["yaml"])["data"]
    corpus = read_corpus(data["reader"], data["path"], data["labels"], **data["options"])
    assert corpus.label_set.labels == ("neutral", "positive", "negative")
    assert [turn.label for turn in corpus.split("dev")[0]] == ["negative", "neutral"]


def test_commands_of_the_page_run(blocks, capsys):
    commands = blocks["bash"].splitlines()
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    text = capsys.readouterr().out
    assert "angry" in text
    assert "ok: 6 turns in 2 splits" in text
