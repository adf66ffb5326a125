"""The folders in which corpora are looked for."""

import os
from pathlib import Path

import pytest

import dialogue_ser
from dialogue_ser.corpus.download import locate
from dialogue_ser.corpus.download.locate import data_folders, find_data, sample_folder
from dialogue_ser.errors import MissingDataError

CHECKOUT = Path(dialogue_ser.__path__[0]).resolve().parent


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("DIALOGUE_SER_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_data_of_the_current_directory_comes_before_data_of_the_checkout(elsewhere):
    assert data_folders() == (elsewhere / "data", CHECKOUT / "data")
    (elsewhere / "data" / "x-corpus").mkdir(parents=True)
    assert find_data("x-corpus") == elsewhere / "data" / "x-corpus"


def test_folders_beside_the_checkout_are_not_used(elsewhere):
    (elsewhere.parent / "shared" / "data" / "x-corpus").mkdir(parents=True)
    with pytest.raises(MissingDataError, match="set DIALOGUE_SER_DATA to the folder that holds x-corpus/"):
        find_data("x-corpus")


def test_if_the_environment_variable_is_set_only_its_folders_are_used(elsewhere, monkeypatch):
    (elsewhere / "data" / "x-corpus").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(elsewhere / "stated"))
    with pytest.raises(MissingDataError, match=r"stated/meld\); get it with `dialogue-ser data download meld`"):
        find_data("meld")
    with pytest.raises(MissingDataError, match=r"stated/x-corpus\); give its path"):
        find_data("x-corpus")
    (elsewhere / "second" / "x-corpus").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", os.pathsep.join([str(elsewhere / "stated"), str(elsewhere / "second")]))
    assert find_data("x-corpus") == elsewhere / "second" / "x-corpus"


def test_the_error_about_missing_data_names_all_folders(elsewhere):
    with pytest.raises(MissingDataError) as caught:
        find_data("no-such-corpus")
    for folder in data_folders():
        assert str(folder / "no-such-corpus") in str(caught.value)


def test_the_sample_does_not_depend_on_the_variable_or_the_current_directory(elsewhere, monkeypatch):
    (elsewhere / "data" / "sample").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(elsewhere / "data"))
    assert sample_folder() == CHECKOUT / "data" / "sample"


def test_an_installed_package_holds_the_sample_and_an_error_says_so_if_it_was_deleted(elsewhere, monkeypatch):
    package = elsewhere / "site-packages" / "dialogue_ser"
    (package / "corpus").mkdir(parents=True)
    monkeypatch.setattr(locate, "__file__", str(package / "corpus" / "download" / "locate.py"))
    monkeypatch.setattr(locate, "files", lambda name: package)
    assert data_folders() == (elsewhere / "data",)
    with pytest.raises(MissingDataError, match=r"sample_corpus is missing.*install the package again"):
        sample_folder()
    (package / "sample_corpus").mkdir()
    assert sample_folder() == package / "sample_corpus"
