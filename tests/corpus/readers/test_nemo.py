"""nEMO: the facts of docs/data.md on the real files, and faults in small files."""

from collections import Counter
from pathlib import Path

import pytest
import soundfile

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.nemo import LANGUAGE, NemoSpeaker, read_nemo, read_speakers
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"


def row(name: str, emotion: str = "anger", speaker: str = "AA0", gender: str = "female", age: str = "27") -> str:
    return f"{name}\t{emotion}\tŻółta łódź.\tżółta łódź\t{speaker}\t{gender}\t{age}"


def write(folder: Path, *rows: str, clips: bool = True) -> Path:
    (folder / "data.tsv").write_bytes("\r\n".join([HEADER, *rows, ""]).encode())
    (folder / "samples").mkdir()
    for line in rows if clips else ():
        (folder / "samples" / Path(line.split("\t")[0]).name).touch()
    return folder


def problems(folder: Path, **options: str) -> str:
    with pytest.raises(CorpusError) as caught:
        read_corpus("nemo", folder, **options)
    return str(caught.value)


# --- the real files ---------------------------------------------------------------------------------------------


def test_nemo_counts_utterances_speakers_and_emotions(nemo):
    turns = list(utterances(read_corpus("nemo", nemo).split("all")))
    assert len(turns) == len({turn.id for turn in turns}) == 1057
    assert Counter(turn.label for turn in turns) == {
        "anger": 180, "happiness": 180, "neutral": 180, "sadness": 180, "fear": 177, "surprised": 160
    }  # fmt: skip
    assert Counter(turn.speaker for turn in turns) == {
        **dict.fromkeys(("EB0", "IC0", "KD0", "KS0", "SM0", "TP0", "WR0"), 120), "MK0": 100, "MP0": 117
    }  # fmt: skip
    assert max(Counter((turn.speaker, turn.label) for turn in turns).values()) == 20


def test_nemo_utterances_are_dialogues_of_one_turn_with_sound_and_transcript(nemo):
    corpus = read_corpus("nemo", nemo)
    assert set(map(len, corpus.split("all"))) == {1}
    first = corpus.split("all")[0].utterances[0]
    assert (first.id, first.speaker, first.label) == ("all/EB0_anger_31", "EB0", "anger")
    assert first.text == "Dokarmcie koty wychodząc z domu."
    assert all(turn.audio is not None and turn.text for turn in utterances(corpus.split("all")))
    assert "CC BY-NC-SA 4.0" in corpus.licence
    assert "Polish" in corpus.licence
    assert corpus.warnings == ()


def test_nemo_clips_are_mono_flac_of_24_khz_and_three_quarters_of_an_hour(nemo):
    clips = [soundfile.info(turn.audio.path) for turn in utterances(read_corpus("nemo", nemo).split("all"))]
    assert {(clip.samplerate, clip.channels, clip.format) for clip in clips} == {(24000, 1, "FLAC")}
    assert round(sum(clip.duration for clip in clips) / 3600, 2) == 0.72


def test_nemo_speakers_have_gender_and_age(nemo):
    speakers = read_speakers(nemo)
    assert list(speakers) == ["EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0"]
    assert speakers["EB0"] == NemoSpeaker(gender="female", age=27)
    assert Counter(speaker.gender for speaker in speakers.values()) == {"male": 5, "female": 4}
    assert {speaker.age for speaker in speakers.values()} == {23, 24, 26, 27, 28}


# --- small files ------------------------------------------------------------------------------------------------


def test_a_generated_corpus_in_the_same_layout_is_read(tmp_path, write_nemo):
    folder = write_nemo(tmp_path, n_each=1)
    corpus = read_corpus("nemo", folder)
    assert Counter(turn.speaker for turn in utterances(corpus.split("all"))) == dict.fromkeys(read_speakers(folder), 6)
    assert {turn.label for turn in utterances(corpus.split("all"))} == set(corpus.label_set)
    assert LANGUAGE == "pl"


def test_shared_classes_leave_surprise_out_or_in(tmp_path, write_nemo):
    folder = write_nemo(tmp_path, n_each=1)
    five = Counter(turn.label for turn in utterances(read_corpus("nemo", folder, "shared-5").split("all")))
    assert five == dict.fromkeys(("anger", "fear", "happiness", "neutral", "sadness"), 4)
    seven = Counter(turn.label for turn in utterances(read_corpus("nemo", folder, "shared-7").split("all")))
    assert seven == {**five, "surprise": 4}


def test_nemo_is_found_in_the_data_folders(tmp_path, monkeypatch):
    (tmp_path / "nemo").mkdir()
    write(tmp_path / "nemo", row("AA0_anger_1.flac"))
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path))
    assert len(read_corpus("nemo").split("all")) == 1
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "empty"))
    with pytest.raises(MissingDataError, match="nemo: no such folder"):
        read_corpus("nemo")


def test_one_error_names_all_bad_rows(tmp_path):
    rows = [row("a.flac", emotion="angr"), row("b.flac"), row("b.flac"), row("../c.flac"), row("d.flac", speaker="")]
    text = problems(write(tmp_path, *rows))
    for sentence in (
        "data.tsv row 2 (all/a): unknown emotion label 'angr'; did you mean 'anger'",
        "data.tsv row 4 (all/b): id 'all/b' is also the id of data.tsv row 3",
        "data.tsv row 5: file_id '../c.flac' is not a file name",
        "data.tsv row 6 (all/d): has no speaker",
    ):
        assert sentence in text


def test_a_clip_that_links_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "nemo"
    folder.mkdir()
    write(folder, row("a.flac"), clips=False)
    (tmp_path / "secret").touch()
    (folder / "samples" / "a.flac").symlink_to(tmp_path / "secret")
    assert "leads outside" in problems(folder)


def test_missing_clips_are_all_named_or_masked_and_counted(tmp_path):
    folder = write(tmp_path, row("a.flac"), row("b.flac"), row("c.flac"))
    for name in ("a", "c"):
        (folder / "samples" / f"{name}.flac").unlink()
    text = problems(folder)
    assert "data.tsv row 2 (a.flac): no such file" in text
    assert "data.tsv row 4 (c.flac): no such file" in text
    masked = read_corpus("nemo", folder, on_bad="mask")
    assert [turn.audio is None for turn in utterances(masked.split("all"))] == [True, False, True]
    assert masked.warnings == (
        "2 turns have no clip and are masked (data.tsv row 2 (a.flac), data.tsv row 4 (c.flac))",
    )


def test_missing_table_columns_and_label_sets_are_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"data\.tsv is missing"):
        read_nemo(tmp_path)
    write(tmp_path, row("a.flac"))
    with pytest.raises(ConfigError, match="unknown label set 'emotions'; did you mean 'emotion'"):
        read_nemo(tmp_path, labels="emotions")
    (tmp_path / "data.tsv").write_text("file_id\temotion\na.flac\tanger\n")
    assert problems(tmp_path).count("unknown column") == 4


def test_two_descriptions_of_a_speaker_are_refused(tmp_path):
    rows = [row("a.flac"), row("b.flac", age="28"), row("c.flac", speaker="BB0", age="young")]
    with pytest.raises(CorpusError) as caught:
        read_speakers(write(tmp_path, *rows))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["data.tsv row 3", "data.tsv row 4"]


def test_a_row_with_the_clip_of_another_speaker_is_an_error_or_set_aside(tmp_path):
    folder = write(tmp_path, row("AA0_anger_1.flac"), row("BB0_anger_1.flac", speaker="AA0"), row("other.flac"))
    assert "data.tsv row 3: the clip BB0_anger_1 belongs to another speaker than speaker_id 'AA0'" in problems(folder)
    corpus = read_corpus("nemo", folder, on_bad="mask")
    assert [turn.id for turn in utterances(corpus.split("all"))] == ["all/AA0_anger_1", "all/other"]
    assert any(warning.startswith("set aside: data.tsv row 3") for warning in corpus.warnings)


def test_a_row_with_another_emotion_than_its_clip_counts_and_gives_a_warning(tmp_path):
    corpus = read_corpus("nemo", write(tmp_path, row("AA0_anger_1.flac"), row("AA0_fear_1.flac", emotion="sadness")))
    assert corpus.split("all")[1].utterances[0].label == "sadness"
    assert "1 rows have another emotion than the name of their clip" in corpus.warnings[0]
