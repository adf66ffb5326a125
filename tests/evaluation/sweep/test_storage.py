"""The storage of a sweep: a journal that survives torn lines and killed writers, or a database."""

import time

import pytest

from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.evaluation.sweep.storage import Place, open_storage


def test_a_half_written_last_line_of_a_journal_is_cut(tmp_path):
    place = Place.of(None, tmp_path)
    open_storage(place).create_new_study([1], "one")
    whole = place.file.read_bytes()
    place.file.write_bytes(whole + b'{"op_code":4,"half')
    again = open_storage(place)
    again.create_new_study([1], "two")
    assert sorted(study.study_name for study in open_storage(place).get_all_studies()) == ["one", "two"]
    assert place.file.read_bytes().startswith(whole)


def test_the_lock_of_a_journal_holds_nobody_up_after_a_kill(tmp_path):
    """A lock file that a killed process left is no lock."""
    (tmp_path / "study.journal.writing").touch()
    (tmp_path / "study.journal.claim").touch()
    started = time.monotonic()
    open_storage(Place.of(None, tmp_path)).create_new_study([1], "one")
    assert time.monotonic() - started < 5
    assert [study.study_name for study in open_storage(Place.of(None, tmp_path)).get_all_studies()] == ["one"]


@pytest.mark.parametrize("content", ["no journal\nat all\n", "[1]\n[2]\n"])
def test_a_file_that_is_no_journal_is_named(tmp_path, content):
    (tmp_path / "notes.txt").write_text(content)
    with pytest.raises(ConfigError, match=r"notes.txt: is no journal of Optuna"):
        open_storage(Place(str(tmp_path / "notes.txt")))
    assert (tmp_path / "notes.txt").read_text() == content


@pytest.mark.parametrize("url", ["nonsense://there", "postgresql://me:secret@127.0.0.1:1/db"])
def test_a_database_that_cannot_be_opened_is_named_without_its_password(url):
    with pytest.raises(ConfigError, match="cannot be opened") as error:
        open_storage(Place(url))
    assert "secret" not in str(error.value)


def test_a_storage_to_look_at_is_not_created(tmp_path):
    with pytest.raises(MissingDataError, match="no such sweep"):
        open_storage(Place.of(None, tmp_path / "nothing"), may_create=False)
    assert not (tmp_path / "nothing").exists()


def test_the_file_of_a_place_is_known():
    assert Place("sqlite:///a/b.db").file.as_posix() == "a/b.db"
    assert Place("sqlite:////a/b.db").file.as_posix() == "/a/b.db"
    assert Place("postgresql://host/db").file is None


def test_a_line_that_a_writer_tore_does_not_spoil_that_of_the_next(tmp_path):
    place = Place.of(None, tmp_path)
    storage = open_storage(place)
    storage.create_new_study([1], "one")
    with place.file.open("ab") as file:
        file.write(b'{"op_code":4,"half')
    storage.create_new_study([1], "two")
    assert sorted(study.study_name for study in open_storage(place).get_all_studies()) == ["one", "two"]
