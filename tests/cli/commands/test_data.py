"""The functions behind ``dialogue-ser data``."""

import numpy as np
import pytest
import soundfile

from dialogue_ser.cli.commands.data import data_check, data_describe, data_download
from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.errors import ConfigError, CorpusError, MediaError, MissingDataError


def lines(text: str) -> dict[str, list[str]]:
    """Return the first cell of every line → its other cells. Two blanks separate cells."""
    rows = [[cell.strip() for cell in line.strip().split("  ") if cell.strip()] for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if row}


@pytest.fixture
def own(tmp_path):
    soundfile.write(tmp_path / "good.wav", np.zeros(1600), 16000)
    (tmp_path / "bad.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:1000])
    (tmp_path / "own.csv").write_text(
        "dialogue,speaker,text,label,split,audio\n"
        "1,Ann [laughs],one two,joy,train,good.wav\n"
        "1,Bob,three,anger,train,bad.wav\n"
        "2,Bob,four,joy,train,\n"
        "3,Cy,five,joy,dev,\n"
    )
    return str(tmp_path / "own.csv")


def test_describe_prints_counts_of_meld(capsys):
    try:
        find_data("meld")
    except MissingDataError:
        pytest.skip("MELD is not on this machine")
    assert data_describe() == 0
    found = lines(capsys.readouterr().out)
    assert found["dialogues"] == ["1038", "114", "280"]
    assert found["utterances"] == ["9989", "1109", "2610"]
    assert found["speakers"] == ["260", "47", "100"]
    assert found["speakers never in train"][2] == "31"
    assert found["fear"] == ["268 (2.7%)", "40 (3.6%)", "50 (1.9%)"]
    assert found["turns per dialogue (min / median / max)"][0].endswith("/ 24")
    assert found["turns with audio"] == ["0 (0.0%)"] * 3


def test_describe_prints_labels_speakers_lengths_and_audio_of_own_data(own, capsys):
    assert data_describe("table", own, "mood", {"licence": "mine"}) == 0
    text = capsys.readouterr().out
    found = lines(text)
    assert "mood: joy, anger" in text
    assert "licence: mine" in text
    assert found["joy"] == ["2 (66.7%)", "1 (100.0%)"]
    assert found["Ann [laughs]"] == ["1", "0"]
    assert found["turns with audio"] == ["2 (66.7%)", "0 (0.0%)"]
    assert found["longest dialogue"] == ["train/1", "dev/3"]
    assert "#" * 32 in text


def test_describe_of_values_prints_the_spread_of_targets_and_no_classes(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,v,a,split\na,1,2,train\nb,4,,train\nc,2.5,,dev\n")
    data_describe(
        "table", str(tmp_path / "a.csv"), options={"columns": {"targets": {"valence": "v", "arousal [a]": "a"}}}
    )
    text = capsys.readouterr().out
    found = lines(text)
    assert "table · dimensions: valence, arousal [a]" in text
    assert found["valence"] == ["2.500 ± 1.500 (1 to 4), 2", "2.500 ± 0.000 (2.5 to 2.5), 1"]
    assert found["arousal [a]"] == ["2.000 ± 0.000 (2 to 2), 1", "–"]
    assert found["with targets"] == ["2", "1"]
    assert "labelled" not in found
    assert "Labels" not in text
    assert "fingerprint with targets: " in text
    assert "warning: dev: no turn has a value of arousal [a]; the split can be predicted but not scored" in text


def test_describe_of_classes_prints_no_targets(own, capsys):
    data_describe("table", own)
    assert "arget" not in capsys.readouterr().out


def test_check_takes_a_corpus_without_classes(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,v,split\na,1,train\n")
    assert data_check("table", str(tmp_path / "a.csv"), options={"columns": {"targets": ["v"]}}) == 0
    assert "table · dimensions: v" in capsys.readouterr().out


def test_describe_shows_one_fold_of_a_corpus(tmp_path, write_nemo, capsys):
    nemo = write_nemo(tmp_path, n_each=1)
    cut = {"protocol": "leave-one-speaker-out", "fold": "BB0"}
    assert data_describe("nemo", str(nemo), cut=cut) == 0
    assert lines(capsys.readouterr().out)["speakers"] == ["2", "1", "1"]  # train, dev, test
    with pytest.raises(ConfigError, match=r"data describe: data\.cut\.fld: unknown setting 'fld'; did you mean 'fold'"):
        data_describe("nemo", str(nemo), cut={"fld": "BB0"})


def test_describe_is_plain_text_when_not_a_terminal(own, capsys):
    data_describe("table", own)
    assert "\x1b" not in capsys.readouterr().out


def test_check_decodes_all_audio_and_names_what_is_broken(own, capsys):
    with pytest.raises(MediaError) as caught:
        data_check("table", own)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("own.csv row 3 (train/1_utt1): ")
    assert "truncated WAV" in caught.value.problems[0]
    assert data_check("table", own, on_bad="mask") == 0
    text = capsys.readouterr().out
    assert "ok: 4 turns in 2 splits; 1 audio clips decoded, 1 cannot be decoded and would be masked" in text
    assert data_check("table", own, media=False) == 0


def test_check_warns_about_doubtful_levels_and_groups_equal_warnings(tmp_path, capsys):
    soundfile.write(tmp_path / "loud.wav", np.full(1600, 16384.0), 16000, subtype="FLOAT")
    tone = 0.5 * np.sin(np.arange(1600))
    soundfile.write(tmp_path / "anti.wav", np.stack([tone, -tone], axis=1), 16000)
    rows = [f"{number},a,x,joy,train,loud.wav" for number in range(40)] + ["40,a,x,anger,train,anti.wav"]
    (tmp_path / "own.csv").write_text("\n".join(["dialogue,speaker,text,label,split,audio", *rows]) + "\n")
    assert data_check("table", str(tmp_path / "own.csv")) == 0
    text = capsys.readouterr().out
    assert text.count("its peak is 16384, but full scale is 1") == 10
    assert "warning: … and 30 more of this kind" in text
    assert "own.csv row 42 (train/40_utt0): " in text
    assert "its channels cancel each other" in text
    assert "41 audio clips decoded" in text


def test_check_refuses_bad_rows(own):
    with pytest.raises(CorpusError, match="unknown emotion label 'joy'"):
        data_check("table", own, options={"label_order": ["anger"]})


def test_download_refuses_unknown_names():
    with pytest.raises(ConfigError, match="did you mean 'meld'"):
        data_download("melt")


def test_check_names_audio_that_several_utterances_share(own, tmp_path, capsys):
    soundfile.write(tmp_path / "again.wav", np.zeros(1600), 16000)
    (tmp_path / "own.csv").write_text(
        "text,label,split,audio\none,joy,train,good.wav\ntwo,anger,train,bad.wav\nthree,anger,test,again.wav\n"
    )
    options = {"options": {"dialogue": "none"}, "on_bad": "mask"}
    assert data_check("table", str(tmp_path / "own.csv"), **options) == 0
    warning = next(line for line in capsys.readouterr().out.splitlines() if "several utterances" in line)
    assert warning == (
        "warning: 1 clip is the audio of several utterances, 1 of them in several splits, 1 of them with different "
        "labels: train/row2_utt0 = test/row4_utt0 (good.wav, again.wav)"
    )
    assert data_check("table", str(tmp_path / "own.csv"), **options, media=False) == 0
    assert "several utterances" not in capsys.readouterr().out
