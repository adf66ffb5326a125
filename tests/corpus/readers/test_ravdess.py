"""RAVDESS: all annotations are in the file names. Counts of the real files, and rules on a generated folder."""

from collections import Counter
from pathlib import Path

import pytest

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Utterance, utterances
from dialogue_ser.errors import CorpusError, MissingDataError


def write(folder: Path, actors: tuple[int, ...] = (1, 2), channel: str = "01") -> Path:
    """Write each statement once in every emotion. Neutral (01) is never strong."""
    for actor in actors:
        (folder / f"Actor_{actor:02}").mkdir(parents=True)
        for emotion in range(1, 9):
            for statement in (1, 2):
                intensity = 2 if emotion > 1 and statement == 2 else 1
                name = f"03-{channel}-{emotion:02}-{intensity:02}-{statement:02}-01-{actor:02}.wav"
                (folder / f"Actor_{actor:02}" / name).touch()
    return folder


def turns_of(corpus: Corpus) -> dict[str, Utterance]:
    return {turn.id: turn for turn in utterances(corpus.split("all"))}


def test_the_published_speech_has_the_published_counts():
    try:
        turns = turns_of(read_corpus("ravdess", find_data("ravdess"))).values()
    except MissingDataError as error:
        pytest.skip(str(error))
    counts = Counter(turn.label for turn in turns)
    assert counts.pop("neutral") == 96
    assert set(counts.values()) == {192}
    assert set(Counter(turn.speaker for turn in turns).values()) == {60}


def test_names_give_actor_statement_intensity_and_emotion(tmp_path):
    corpus = read_corpus("ravdess", write(tmp_path))
    turns = turns_of(corpus)
    assert Counter(turn.label for turn in turns.values()) == dict.fromkeys(
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), 4
    )
    turn = turns["all/03-01-06-02-02-01-02"]
    assert (turn.speaker, turn.label, turn.text) == ("Actor_02", "fearful", "Dogs are sitting by the door.")
    assert turn.attributes == {"gender": "female", "channel": "speech", "intensity": "strong", "statement": "02"}
    other = turns["all/03-01-01-01-01-01-01"]
    assert (other.label, other.text) == ("neutral", "Kids are talking by the door.")
    assert (other.attributes["gender"], other.attributes["intensity"]) == ("male", "normal")
    assert other.audio is not None
    assert other.audio.path == tmp_path / "Actor_01" / "03-01-01-01-01-01-01.wav"


def test_speech_and_song_can_be_in_two_folders(tmp_path):
    write(tmp_path / "Audio_Speech_Actors_01-24")
    with pytest.raises(MissingDataError, match="holds no files of the channel song; unpack its archive there"):
        read_corpus("ravdess", tmp_path, channel="song")
    write(tmp_path / "Audio_Song_Actors_01-24", channel="02")
    assert len(turns_of(read_corpus("ravdess", tmp_path))) == 32
    assert len(turns_of(read_corpus("ravdess", tmp_path, channel="both"))) == 64
    song = turns_of(read_corpus("ravdess", tmp_path, channel="song")).values()
    assert {turn.attributes["channel"] for turn in song} == {"song"}


def test_a_copy_that_holds_every_file_twice_is_read_once(tmp_path):
    write(tmp_path)
    write(tmp_path / "audio_speech_actors_01-24")
    (tmp_path / "Actor_01" / "._03-01-01-01-01-01-01.wav").touch()
    assert len(turns_of(read_corpus("ravdess", tmp_path))) == 32


def test_shared_classes_take_calm_as_neutral(tmp_path):
    turns = turns_of(read_corpus("ravdess", write(tmp_path), "shared-4"))
    assert Counter(turn.label for turn in turns.values()) == {"anger": 4, "happiness": 4, "neutral": 8, "sadness": 4}
    assert turns["all/03-01-02-01-01-01-01"].label == "neutral"


def test_all_files_with_names_of_another_form_are_listed_and_no_file_is_missing_data(tmp_path):
    with pytest.raises(MissingDataError, match=r"holds no Actor_01/\*\.wav"):
        read_corpus("ravdess", tmp_path)
    write(tmp_path)
    for name in ("01-01-01-01-01-01-01", "03-01-09-01-01-01-01"):  # 01 = with video; and there is no emotion 09
        (tmp_path / "Actor_01" / f"{name}.wav").touch()
    with pytest.raises(CorpusError) as caught:
        read_corpus("ravdess", tmp_path)
    assert [problem.split(": the name does not")[0][-24:] for problem in caught.value.problems] == [
        "01-01-01-01-01-01-01.wav", "03-01-09-01-01-01-01.wav"
    ]  # fmt: skip


STRAY = "03-01-05-01-01-01-01.wav"


def test_a_file_in_the_folder_of_another_actor_is_named_with_the_file_of_the_same_name(tmp_path):
    write(tmp_path)
    (tmp_path / "Actor_02" / STRAY).touch()
    with pytest.raises(CorpusError) as caught:
        read_corpus("ravdess", tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"Actor_02/{STRAY}: lies in the folder of another actor: its name says actor 01; ")
    assert f"Actor_01/{STRAY} has the same name" in problem


def test_a_stray_file_can_be_set_aside_and_changes_nothing_then(tmp_path):
    write(tmp_path)
    clean = read_corpus("ravdess", tmp_path).fingerprint()
    (tmp_path / "Actor_02" / STRAY).touch()
    (tmp_path / "Actor_01" / "notes.wav").touch()
    corpus = read_corpus("ravdess", tmp_path, on_bad="mask")
    assert corpus.fingerprint() == clean
    assert turns_of(corpus)[f"all/{Path(STRAY).stem}"].audio.path == tmp_path / "Actor_01" / STRAY
    assert [warning.partition(": the")[0] for warning in corpus.warnings if "notes" in warning] == [
        "set aside: Actor_01/notes.wav"
    ]
    assert sum(STRAY in warning for warning in corpus.warnings) == 1


def test_a_stray_file_without_a_twin_belongs_to_nobody(tmp_path):
    write(tmp_path)
    (tmp_path / "Actor_01" / STRAY).rename(tmp_path / "Actor_02" / STRAY)
    with pytest.raises(CorpusError, match="lies in the folder of another actor"):
        read_corpus("ravdess", tmp_path)
    assert f"all/{Path(STRAY).stem}" not in turns_of(read_corpus("ravdess", tmp_path, on_bad="mask"))


def test_a_file_that_lies_in_two_archives_is_named_with_both_paths(tmp_path):
    write(tmp_path / "speech", actors=(1,))
    write(tmp_path / "again", actors=(1,))
    with pytest.raises(CorpusError) as caught:
        read_corpus("ravdess", tmp_path)
    assert len(caught.value.problems) == 16
    assert all("has the same name as again/Actor_01/" in problem for problem in caught.value.problems)
    assert len(turns_of(read_corpus("ravdess", tmp_path, on_bad="mask"))) == 16


def test_an_actor_that_the_corpus_does_not_have_is_a_wrong_name(tmp_path):
    write(tmp_path)
    (tmp_path / "Actor_25").mkdir()
    (tmp_path / "Actor_25" / "03-01-05-01-01-01-25.wav").touch()
    with pytest.raises(CorpusError, match="actor from 01 to 24"):
        read_corpus("ravdess", tmp_path)
