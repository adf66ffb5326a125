"""docs/corpora.md says nothing that does not run."""

import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from dialogue_ser.cli.main import main
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus

PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


@pytest.fixture
def blocks(tmp_path, monkeypatch, write_iemocap, iemocap_facts) -> dict[str, list[str]]:
    """Language → the page's blocks in it, in order; the data they speak of lie in the working folder."""
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        found.setdefault(language, []).append(block)
    (tmp_path / "chat.csv").write_text(found["csv"][0])
    (tmp_path / "old.csv").write_bytes('text\tlabel\n"Café," he said\tjoy\n'.encode("cp1252"))
    scenes = "Season,Episode,Scene_ID,Utterance,Emotion\n1,1,1,Hi.,joy\n1,1,1,No.,anger\n1,1,2,Oh.,joy\n"
    (tmp_path / "scenes.csv").write_text(scenes)
    (tmp_path / "emodb" / "wav").mkdir(parents=True)
    for name in ("03a01Fa", "03a01La"):
        (tmp_path / "emodb" / "wav" / f"{name}.wav").touch()
    (tmp_path / "bios-db" / "audio").mkdir(parents=True)
    for number in (1, 2, 3):
        sound = np.concatenate([iemocap_facts.tone(code, number, 0, 1.5) for code in ("ang", "sad")])
        iemocap_facts.write_wav(tmp_path / "bios-db" / "audio" / f"00{number}.wav", sound)
    (tmp_path / "chat-rated.csv").write_text(found["csv"][1])
    (tmp_path / "emobank").mkdir()
    (tmp_path / "emobank" / "emobank.csv").write_text("id,split,V,A,D,text\na_1,train,3.0,2.5,3.2,One.\n")
    (tmp_path / "bios-db" / "db.segments.csv").write_text(found["csv"][2])
    (tmp_path / "bios-db.yaml").write_text(found["yaml"][1])
    write_iemocap(tmp_path / "IEMOCAP_full_release")
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return found


def test_python_of_the_page_prints_the_first_dialogue(blocks, capsys):
    (code,) = blocks["python"]
    Path("page.py").write_text(code)
    runpy.run_path("page.py")
    assert capsys.readouterr().out == "['Hello, you!', 'NA']\n"


def read(block: str) -> Corpus:
    data = yaml.safe_load(block)["data"]
    return read_corpus(data["reader"], data["path"], data.get("labels", "emotion"), **data["options"])


def test_yaml_of_the_page_is_the_same_corpus(blocks):
    corpus = read(blocks["yaml"][0])
    assert corpus.label_set.labels == ("neutral", "positive", "negative")
    assert [turn.label for turn in corpus.split("dev")[0]] == ["negative", "neutral"]


def test_the_page_says_how_many_sentences_of_emobank_stand_in_train_too(emobank):
    told = [
        re.search(r"(\w+): .* of train, (\d+) of them word for word", said)
        for said in read_corpus("emobank", emobank).warnings
    ]
    counts = {found[1]: found[2] for found in told if found}
    assert f"{counts['dev']} sentences of dev\nand {counts['test']} of test" in PAGE.read_text(encoding="utf-8")


def test_segments_of_the_page_are_utterances(blocks):
    turns = [turn for (turn,) in read(blocks["yaml"][1]).split("all")]
    assert [(turn.speaker, turn.label, turn.start_seconds, turn.end_seconds) for turn in turns] == [
        (speaker, label, *times)
        for speaker in ("s01", "s02", "s03")
        for label, times in (("anger", (0.0, 1.5)), ("sadness", (1.5, None)))
    ]


def test_commands_of_the_page_run(blocks, capsys, tmp_path):
    commands = [command for block in blocks["bash"] for command in block.splitlines()]
    assert len(commands) == 14
    said = []
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
        said.append(capsys.readouterr().out)
    assert "angry" in said[0]
    assert "ok: 6 turns in 2 splits" in said[1]
    assert "report: runs/chat-text/report.html" in said[2]
    assert "results: runs/chat-text-on-chat" in said[3]
    assert "ok: 1 turns in 1 splits" in said[4]
    assert re.search(r"dialogues +2\b", said[5])
    assert re.search(r"dialogues +1\b", said[6])
    assert "count as unlabelled" in said[7]
    assert "table · shared-4: anger, happiness, neutral, sadness" in said[8]
    assert "table · dimensions: valence, arousal" in said[9]
    assert "anger" in said[10]
    assert "leave-one-speaker-out" in said[11]
    assert (tmp_path / "runs" / "bios-db" / "report.html").is_file()
    assert "emobank · dimensions: valence, arousal, dominance" in said[12]
    assert "iemocap · 4-class: happy, sad, neutral, anger" in said[13]
