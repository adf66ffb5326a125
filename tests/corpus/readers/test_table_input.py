"""A table becomes dialogues to predict on, and its rows are kept."""

import json
import logging

import pytest

from dialogue_ser.corpus.parsing.files import FileFormat
from dialogue_ser.corpus.readers.table_input import read_dialogues, read_input
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import CorpusError

RATED = "text,feels,val,aro,split\na,joy,3.5,2,train\nb,,,4,train\nc,fear,1,,dev\n"


def test_input_to_predict_on_keeps_targets_that_are_mapped(tmp_path):
    rated = tmp_path / "rated.csv"
    rated.write_text(RATED)
    (dialogue,) = read_dialogues(rated, columns={"targets": {"valence": "val"}}, dialogue="file")
    assert [turn.targets for turn in dialogue] == [{"valence": 3.5}, {}, {"valence": 1.0}]
    (dialogue,) = read_dialogues(rated, dialogue="file")
    assert [turn.targets for turn in dialogue] == [{}, {}, {}]


def test_a_file_without_dialogues_is_one_dialogue_if_the_user_says_so(tmp_path):
    (tmp_path / "chat.csv").write_text("speaker,text\nAnn,Hi.\nBob,NA\nAnn,null\n")
    (dialogue,) = read_dialogues(tmp_path / "chat.csv", dialogue="file")
    assert dialogue.id == "new/chat"
    assert [(turn.id, turn.speaker, turn.text, turn.label) for turn in dialogue] == [
        ("new/chat_utt0", "Ann", "Hi.", None),
        ("new/chat_utt1", "Bob", "NA", None),
        ("new/chat_utt2", "Ann", "null", None),
    ]


def test_dialogues_of_json_lines_with_audio(tmp_path):
    (tmp_path / "a.wav").touch()
    rows = [
        {"dialogue": "x", "speaker": "Ann", "text": "None"},
        {"dialogue": "y", "speaker": "Bob", "audio": "a.wav", "text": None},
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = read_dialogues(tmp_path / "chat.jsonl")
    assert (first.id, first.utterances[0].text, first.utterances[0].audio) == ("new/x", "None", None)
    assert (second.utterances[0].text, second.utterances[0].audio.path) == (None, tmp_path / "a.wav")


def test_bad_input_of_predict_is_named_row_by_row(tmp_path):
    (tmp_path / "chat.csv").write_text("speaker,text,audio\n,Hi.,\nBob,Ho.,gone.wav\n")
    with pytest.raises(CorpusError) as caught:
        read_dialogues(tmp_path / "chat.csv")
    assert [problem[:14] for problem in caught.value.problems] == ["chat.csv row 3", "chat.csv row 2"]
    (tmp_path / "chat.csv").write_text("who,said\nAnn,Hi.\n")
    with pytest.raises(CorpusError, match="no column for text"):
        read_dialogues(tmp_path / "chat.csv")
    (dialogue,) = read_dialogues(tmp_path / "chat.csv", columns={"speaker": "who", "text": "said"}, dialogue="none")
    assert dialogue.utterances[0].text == "Hi."


def test_gold_labels_in_the_input_of_predict_are_kept(own, mapping):
    dialogues = read_dialogues(own, columns=mapping)
    assert [turn.label for turn in utterances(dialogues)] == ["happy", "calm", "angry", "calm", "angry"]


def test_rows_without_a_dialogue_are_dialogues_of_their_own_as_in_training(tmp_path, caplog):
    (tmp_path / "chat.csv").write_text("speaker,text\nAnn,Hi.\nBob,NA\n")
    with caplog.at_level(logging.WARNING):
        dialogues = read_dialogues(tmp_path / "chat.csv")
    assert [dialogue.id for dialogue in dialogues] == ["new/row2", "new/row3"]
    (record,) = caplog.records
    assert "dialogue: file" in record.getMessage()


def test_every_row_of_the_table_is_kept_in_its_order(tmp_path):
    (tmp_path / "a.csv").write_text("dialogue,text,take\nx,a,1\ny,b,2\nx,c,3\n")
    given = read_input(tmp_path / "a.csv")
    assert {name: row.values["take"] for name, row in given.rows.items()} == {
        "new/x_utt0": "1", "new/y_utt0": "2", "new/x_utt1": "3"
    }  # fmt: skip
    assert list(given.rows) == ["new/x_utt0", "new/y_utt0", "new/x_utt1"]


def test_dialogue_ids_that_start_again_in_each_split_stay_apart(tmp_path):
    (tmp_path / "a.csv").write_text("split,dialogue,turn,text\ntrain,0,0,a\ntrain,0,1,b\ndev,0,0,c\ndev,0,1,d\n")
    given = read_input(tmp_path / "a.csv")
    assert [(dialogue.id, len(dialogue)) for dialogue in given.dialogues] == [("new/train-0", 2), ("new/dev-0", 2)]
    assert any("start again in each split" in warning for warning in given.warnings)


def test_every_format_and_every_option_of_a_file_works(tmp_path):
    (tmp_path / "a.csv").write_bytes("speaker:text\nAnn:café\n".encode("cp1252"))
    form = FileFormat(encoding="cp1252", delimiter=":")
    (dialogue,) = read_input(tmp_path / "a.csv", form=form).dialogues
    assert dialogue.utterances[0].text == "café"
    (tmp_path / "a.json").write_text(json.dumps({"d1": {"sentences": ["Hi", "Ho"], "speakers": ["A", "B"]}}))
    (dialogue,) = read_dialogues(tmp_path / "a.json")
    assert [(turn.id, turn.speaker, turn.text) for turn in dialogue] == [
        ("new/d1_utt0", "A", "Hi"), ("new/d1_utt1", "B", "Ho")
    ]  # fmt: skip
