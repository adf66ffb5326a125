"""The reader table: a user's own data without code."""

import json
from pathlib import Path

import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.table import read_table
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError


def problems(*arguments, **options) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        read_corpus("table", *arguments, **options)
    return caught.value.problems


def test_any_csv_becomes_a_corpus_by_a_column_mapping(own, mapping):
    corpus = read_corpus("table", str(own), labels="mood", columns=mapping)
    assert corpus.label_set.name == "mood"
    assert corpus.label_set.labels == ("calm", "angry", "happy")  # by frequency in train, then by name
    assert {split: len(found) for split, found in corpus.splits.items()} == {"train": 2, "dev": 1}
    first = corpus.split("train")[0]
    assert (first.id, first.speakers) == ("train/1", ("Ann", "Bob"))
    assert [(turn.id, turn.text, turn.label) for turn in first] == [
        ("train/1_utt0", "Hello, you!", "happy"),
        ("train/1_utt1", "NA", "calm"),
    ]
    assert corpus.split("dev")[0].utterances[0].origin == "own.csv row 6"


def test_labels_can_be_ordered_and_mapped_and_left_out(own, mapping):
    corpus = read_corpus(
        "table",
        str(own),
        columns=mapping,
        label_map={"happy": "positive", "angry": "negative", "calm": None, "bored": "negative"},
        label_order=["positive", "negative"],
    )
    assert corpus.label_set.labels == ("positive", "negative")
    assert [turn.label for turn in utterances(corpus.split("train"))] == ["positive", None, "negative", None]
    assert "label_map: the table does not hold bored" in corpus.warnings


def test_labels_outside_the_stated_order_are_all_named(own, mapping):
    found = problems(str(own), columns=mapping, label_order=["happy", "angri"])
    assert len(found) == 4
    assert "own.csv row 4 (train/2_utt0): unknown emotion label 'angry'; did you mean 'angri'?" in found[1]
    assert "label_map" in found[1]


def test_labels_of_dev_that_train_lacks_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,split,dialogue\na,joy,train,1\nb,joyful,dev,2\n")
    assert (
        "a.csv row 3 (dev/2_utt0): unknown emotion label 'joyful'; did you mean 'joy'?"
        in problems(str(tmp_path / "a.csv"))[0]
    )


def test_usual_column_names_need_no_mapping(tmp_path):
    (tmp_path / "a.csv").write_text("Utterance,Speaker,Emotion,Dialogue_ID,Utterance_ID,Split\nhi,Ann,joy,4,9,train\n")
    (turn,) = utterances(read_corpus("table", str(tmp_path / "a.csv")).split("train"))
    assert (turn.id, turn.text, turn.speaker, turn.label) == ("train/4_utt9", "hi", "Ann", "joy")


def test_emorynlp_style_rows_need_no_code(tmp_path):
    (tmp_path / "train.csv").write_text(
        "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode\n"
        '"[""There\'s nothing to tell!"", \'He is just some guy.\']",[\'Monica Geller\'],Neutral,1,1,1,1\n'
        "\"C'mon, you're going out with the guy!\",\"['Joey Tribbiani', 'Ross Geller']\",Joyful,1,2,1,1\n"
        "Hi.,\"['Ross Geller']\",Sad,1,1,1,2\n"
    )
    corpus = read_corpus(
        "table",
        str(tmp_path),
        files={"train": "train.csv"},
        columns={"dialogue": ["Season", "Episode", "Scene_ID"]},
        label_order=["Neutral", "Joyful", "Sad"],
    )
    first, second = corpus.split("train")
    assert (first.id, second.id) == ("train/1-1-1", "train/1-2-1")
    assert first.speakers == ("Monica Geller", "Joey Tribbiani and Ross Geller")
    assert first.utterances[0].text == "There's nothing to tell! He is just some guy."
    assert second.utterances[0].id == "train/1-2-1_utt1"


def test_splits_come_from_several_files(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\thi\n".replace("\thi", "") + "hi\tjoy\nho\tanger\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "he", "label": "joy"}) + "\n")
    corpus = read_corpus("table", str(tmp_path), files={"train": "a.tsv", "dev": "b.jsonl"})
    assert [turn.id for turn in utterances(corpus.split("train"))] == ["train/row2_utt0", "train/row3_utt0"]
    assert [turn.text for turn in utterances(corpus.split("dev"))] == ["he"]


def test_splits_by_fractions_keep_dialogues_whole(tmp_path):
    rows = "".join(f"t{n},{'joy' if n % 40 < 4 else 'anger'},{n // 4}\n" for n in range(400))
    (tmp_path / "a.csv").write_text("text,label,dialogue\n" + rows)
    shares = {"train": 0.8, "dev": 0.1, "test": 0.1}
    corpus = read_corpus("table", str(tmp_path / "a.csv"), fractions=shares, seed=5, stratify=True)
    assert {split: len(found) for split, found in corpus.splits.items()} == {"train": 80, "dev": 10, "test": 10}
    assert all(len(dialogue) == 4 for found in corpus.splits.values() for dialogue in found)
    joy = {s: sum(d.utterances[0].label == "joy" for d in found) for s, found in corpus.splits.items()}
    assert joy == {"train": 8, "dev": 1, "test": 1}
    again = read_corpus("table", str(tmp_path / "a.csv"), fractions=shares, seed=5, stratify=True)
    assert again == corpus


def test_splits_must_be_stated_once(own, mapping):
    with pytest.raises(ConfigError, match=r"stated by fractions and by columns\.split"):
        read_table(own, columns=mapping, fractions={"train": 1.0})
    with pytest.raises(ConfigError, match="needs the file"):
        read_table(None)


def test_errors_about_missing_columns_and_unknown_roles_and_options_name_the_most_similar_one(own, mapping):
    found = problems(str(own), columns=mapping | {"text": "sayd", "label": "feel"})
    assert "unknown column 'sayd'; did you mean 'said'" in found[0]
    assert "unknown column 'feel'; did you mean 'feels'" in found[1]
    with pytest.raises(ConfigError, match="unknown role 'speakr'; did you mean 'speaker'"):
        read_table(own, columns={"speakr": "who"})
    with pytest.raises(ConfigError, match="unknown option 'colums'; did you mean 'columns'"):
        read_corpus("table", str(own), colums=mapping)
    with pytest.raises(CorpusError, match=r"no column for text \(text, utterance, sentence, transcript\) or audio"):
        read_table(own, columns={"label": "feels"}, fractions={"train": 1.0})
    with pytest.raises(CorpusError, match="no column for label"):
        read_table(own, columns={"text": "said"}, fractions={"train": 1.0})


# --- targets ----------------------------------------------------------------------------------------------------

RATED = "text,feels,val,aro,split\na,joy,3.5,2,train\nb,,,4,train\nc,fear,1,,dev\n"


@pytest.fixture
def rated(tmp_path) -> Path:
    (tmp_path / "rated.csv").write_text(RATED)
    return tmp_path / "rated.csv"


def test_a_table_may_have_targets_and_no_labels(rated):
    corpus = read_corpus("table", str(rated), columns={"targets": {"valence": "val", "arousal": "aro"}})
    assert (corpus.label_set, corpus.dimensions) == (None, ("valence", "arousal"))
    assert [turn.targets for turn in utterances(corpus.split("train"))] == [
        {"valence": 3.5, "arousal": 2.0}, {"arousal": 4.0}
    ]  # fmt: skip
    assert "dev: no turn has a value of arousal; the split can be predicted but not scored" in corpus.warnings


def test_a_table_may_have_targets_and_labels(rated):
    corpus = read_corpus(
        "table", str(rated), columns={"label": "feels", "targets": ["aro"]}, label_order=["joy", "fear"]
    )
    assert (corpus.label_set.labels, corpus.dimensions) == (("joy", "fear"), ("aro",))
    assert [(turn.label, turn.targets) for turn in utterances(corpus.split("train"))] == [
        ("joy", {"aro": 2.0}), (None, {"aro": 4.0})
    ]  # fmt: skip


def test_columns_are_targets_only_if_the_mapping_says_so(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,valence,split\na,joy,3,train\n")
    corpus = read_corpus("table", str(tmp_path / "a.csv"))
    assert corpus.dimensions == ()
    assert not corpus.split("train")[0].utterances[0].targets


def test_a_table_without_labels_and_targets_names_both(rated):
    (found,) = problems(str(rated))
    assert "no column for label (label, emotion) or targets; found: text, feels, val, aro, split" in found
    (found,) = problems(str(rated), columns={"targets": ["valence"]})
    assert "unknown column 'valence'; did you mean 'val'" in found
    (found,) = problems(str(rated), columns={"label": "feels"}, label_map={"joy": None, "fear": None})
    assert (
        "no row is labelled; check the label column and label_map. If the table has only targets, map the label"
        in found
    )


def test_options_for_labels_need_labels(rated):
    with pytest.raises(
        ConfigError, match="label_order and label_map and stratify can be used only with labels, but no column holds"
    ):
        read_corpus(
            "table",
            str(rated),
            columns={"targets": ["val"]},
            label_order=["joy"],
            label_map={"a": "joy"},
            stratify=True,
        )


def test_targets_of_several_files_and_of_audformat_are_read(tmp_path):
    for split in ("train", "dev"):
        (tmp_path / f"{split}.wav").touch()
        (tmp_path / f"{split}.csv").write_text(f"file,start,end,arousal\n{split}.wav,0 days 00:00:00,NaT,0.25\n")
    corpus = read_corpus(
        "table", str(tmp_path), files={"train": "train.csv", "dev": "dev.csv"}, columns={"targets": "arousal"}
    )
    assert [next(utterances(corpus.split(split))).targets for split in ("train", "dev")] == [{"arousal": 0.25}] * 2


def test_one_error_lists_bad_times_labels_paths_and_duplicates(tmp_path):
    (tmp_path / "a.csv").write_text(
        "text,label,dialogue,utterance_id,start,end,audio,split\n"
        "a,joy,1,1,0,1,,train\n"
        "b,joyy,1,2,0,1,,train\n"
        "c,joy,1,1,0,1,,train\n"
        "d,joy,1,3,soon,1,,train\n"
        "e,joy,1,4,0,1,../x.wav,train\n"
        "f,joy,1,5,0,1,nowhere.wav,train\n"
        "g,joy,,6,0,1,,train\n"
        "h,joy,1,7,2,1,,train\n"
        "i,joy,1,8,2,3,,dev\n"
    )
    text = "\n".join(problems(str(tmp_path / "a.csv"), label_order=["joy"]))
    for row, sentence in {
        3: "unknown emotion label 'joyy'",
        5: "'soon' is not a time",
        6: "holds '..'",
        7: "does not exist",
        8: "names no dialogue in dialogue",
        10: "puts dialogue 1 into 'dev'",
    }.items():
        assert any(line.startswith(f"a.csv row {row}") and sentence in line for line in text.splitlines()), (row, text)
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text().replace(",dev\n", ",train\n"))
    text = "\n".join(problems(str(tmp_path / "a.csv"), label_order=["joy"]))
    assert "a.csv row 4 (train/1_utt1): id 'train/1_utt1' is also the id of a.csv row 2" in text
    assert "a.csv row 9 (train/1_utt7): times 2.0–1.0 s; the end is before the start" in text


def test_audio_is_relative_to_the_table_and_has_spans(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").touch()
    (tmp_path / "a.csv").write_text(
        'audio,start,end,label,split\nclips/a.wav,"0:00:01,5",2.5,joy,train\nclips/a.wav,,,joy,train\n,,,joy,train\n'
    )
    first, second, third = utterances(read_corpus("table", str(tmp_path / "a.csv")).split("train"))
    assert (first.audio.path, first.audio.start_seconds, first.audio.end_seconds) == (
        tmp_path / "clips" / "a.wav",
        1.5,
        2.5,
    )
    assert (second.audio.start_seconds, second.audio.end_seconds, second.text, third.audio) == (None, None, None, None)
    assert {turn.speaker for turn in (first, second, third)} == {"speaker"}


def test_missing_audio_can_be_masked_but_a_path_out_of_the_folder_is_always_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text,audio,label,split\na,gone.wav,joy,train\n")
    corpus = read_corpus("table", str(tmp_path / "a.csv"), on_bad="mask")
    assert corpus.split("train")[0].utterances[0].audio is None
    assert any(warning.startswith("a.csv: 1 audio files are missing and masked") for warning in corpus.warnings)
    (tmp_path / "a.csv").write_text("text,audio,label,split\na,/etc/hostname,joy,train\n")
    assert "leads outside" in problems(str(tmp_path / "a.csv"), on_bad="mask")[0]


def test_audio_root_may_be_any_folder(tmp_path):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").touch()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("text,audio,label,split\na,a.wav,joy,train\n")
    corpus = read_corpus("table", str(tmp_path / "tables" / "a.csv"), audio_root=str(tmp_path / "sounds"))
    assert corpus.split("train")[0].utterances[0].audio.path == tmp_path / "sounds" / "a.wav"


AUDFORMAT = """file,start,end,emotion,session
audio/001.wav,0 days 00:00:00,0 days 00:00:01.500000,high-arousal,1
audio/001.wav,0 days 00:00:01.500000,NaT,low-arousal,1
audio/002.wav,0 days 00:01:00,,neutral,
"""


def test_segments_of_an_audformat_table_need_only_their_splits(tmp_path):
    # A database has its files in folders, and beside these a table db.emotion.csv with relative paths.
    (tmp_path / "audio").mkdir()
    for name in ("001", "002"):
        (tmp_path / "audio" / f"{name}.wav").touch()
    (tmp_path / "db.emotion.csv").write_text(AUDFORMAT)
    corpus = read_corpus(
        "table",
        tmp_path / "db.emotion.csv",
        fractions={"all": 1.0},
        label_map={"high-arousal": "anger", "low-arousal": "sadness"},
        label_order=["anger", "neutral", "sadness"],
        columns={"attributes": ["session"]},
    )
    turns = list(utterances(corpus.split("all")))
    spans = [(turn.audio.path.name, turn.audio.start_seconds, turn.audio.end_seconds) for turn in turns]
    assert spans == [("001.wav", 0.0, 1.5), ("001.wav", 1.5, None), ("002.wav", 60.0, None)]
    assert [turn.label for turn in turns] == ["anger", "sadness", "neutral"]
    assert [turn.attributes for turn in turns] == [{"session": "1"}, {"session": "1"}, {}]
    assert set(map(len, corpus.split("all"))) == {1}
    elsewhere = tmp_path / "tables"
    elsewhere.mkdir()
    (tmp_path / "db.emotion.csv").rename(elsewhere / "db.csv")
    moved = read_corpus("table", elsewhere / "db.csv", fractions={"all": 1}, audio_root=str(tmp_path))
    assert [turn.audio.path for turn in utterances(moved.split("all"))] == [turn.audio.path for turn in turns]


def test_an_audformat_table_of_whole_files_needs_no_times(tmp_path):
    (tmp_path / "audio").mkdir()
    for name in ("001", "002", "003"):
        (tmp_path / "audio" / f"{name}.wav").touch()
    rows = "file,speaker,emotion\naudio/001.wav,s1,anger\naudio/002.wav,s2,sadness\naudio/003.wav,s2,\n"
    (tmp_path / "db.files.csv").write_text(rows)
    corpus = read_corpus("table", tmp_path / "db.files.csv", fractions={"all": 1.0})
    turns = list(utterances(corpus.split("all")))
    assert [(turn.audio.path, turn.audio.start_seconds, turn.audio.end_seconds) for turn in turns] == [
        (tmp_path / "audio" / f"{name}.wav", None, None) for name in ("001", "002", "003")
    ]
    assert [(turn.speaker, turn.label) for turn in turns] == [("s1", "anger"), ("s2", "sadness"), ("s2", None)]
    (tmp_path / "audio" / "002.wav").unlink()
    (problem,) = problems(tmp_path / "db.files.csv", fractions={"all": 1.0})
    assert problem.startswith("db.files.csv row 3: the file ")
    assert "002.wav does not exist" in problem


def test_attributes_are_columns_under_their_own_or_another_name(own, mapping):
    renamed = {**mapping, "attributes": {"scene_number": "scene", "spoken": "said"}}
    (first, *_) = utterances(read_corpus("table", str(own), columns=renamed).split("train"))
    assert first.attributes == {"scene_number": "1", "spoken": "Hello, you!"}
    found = problems(str(own), columns={**mapping, "attributes": ["scene", "sesion"]})
    assert len(found) == 1
    assert "unknown column 'sesion'" in found[0]


def test_votes_by_column_or_prefix(tmp_path):
    (tmp_path / "a.csv").write_text("text,v.joy,v.anger,split\na,3,1,train\nb,0,2,train\n")
    by_prefix = read_corpus("table", str(tmp_path / "a.csv"), columns={"votes": "v."})
    by_column = read_corpus("table", str(tmp_path / "a.csv"), columns={"votes": {"joy": "v.joy", "anger": "v.anger"}})
    assert by_prefix == by_column
    assert [turn.votes for turn in utterances(by_prefix.split("train"))] == [{"joy": 3, "anger": 1}, {"anger": 2}]
    assert [turn.label for turn in utterances(by_prefix.split("train"))] == ["joy", "anger"]
    (tmp_path / "b.csv").write_text("text,v.joy,v.fear,split\na,3,1,train\n")
    labels = read_corpus("table", str(tmp_path / "b.csv"), columns={"votes": "v."}).label_set.labels
    assert labels == ("joy", "fear"), "a class that never has the majority is a class too"
    assert "no column begins with 'w.'" in problems(str(tmp_path / "a.csv"), columns={"votes": "w."})[0]


def test_numbers_as_labels_are_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "label": 0, "split": "train"}\n{"text": "b", "label": 1, "split": "train"}\n'
    )
    corpus = read_corpus("table", str(tmp_path / "a.jsonl"), label_map={0: "no", 1: "yes"}, label_order=["no", "yes"])
    assert [turn.label for turn in utterances(corpus.split("train"))] == ["no", "yes"]


def test_a_list_of_one_label_is_that_label_and_an_empty_list_is_none(tmp_path):
    rows = ['{"text": "a", "label": ["joy"]}', '{"text": "b", "label": []}', '{"text": "c", "label": ["joy", "fear"]}']
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    corpus = read_corpus("table", str(tmp_path / "a.jsonl"), dialogue="file", fractions={"all": 1.0})
    assert [turn.label for turn in corpus.split("all")[0]] == ["joy", None, '["joy", "fear"]']


def test_labels_that_train_lacks_are_explained_once(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,split\na,joy,train\nb,fear,dev\nc,fear,dev\n")
    found = problems(str(tmp_path / "a.csv"))
    assert [text for text in found if "no turn of train has: 'fear' (dev, 2 turns)" in text] == [found[-1]]


def test_several_turns_without_a_speaker_column_are_warned_of_unless_that_is_stated(tmp_path):
    (tmp_path / "a.csv").write_text("dialogue,Sprecher,text,label\n1,A,a,joy\n1,B,b,joy\n")
    path = str(tmp_path / "a.csv")
    assert any("no column names speakers" in text for text in read_corpus("table", path).warnings)
    for columns in ({"speaker": None}, {"speaker": "Sprecher"}):
        assert not any("speakers" in text for text in read_corpus("table", path, columns=columns).warnings)


def test_a_second_column_that_could_be_the_label_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("dialogue,speaker,text,label,emotion\n1,A,a,joy,x\n1,B,b,joy,y\n")
    assert any(
        "column label is the label, and emotion is not" in text
        for text in read_corpus("table", str(tmp_path / "a.csv")).warnings
    )
