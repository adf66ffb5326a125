"""Where corpora are looked for."""

import os
from pathlib import Path

import pytest

import dialogue_ser
from dialogue_ser.corpus.locate import data_folders, find_data, sample_folder
from dialogue_ser.errors import MissingDataError

CHECKOUT = Path(dialogue_ser.__path__[0]).resolve().parent


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("DIALOGUE_SER_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_data_comes_before_shared_data(elsewhere):
    (elsewhere / "data" / "x-corpus").mkdir(parents=True)
    (elsewhere.parent / "shared" / "data" / "x-corpus").mkdir(parents=True)
    assert find_data("x-corpus") == elsewhere / "data" / "x-corpus"
    (elsewhere / "data" / "x-corpus").rmdir()
    assert find_data("x-corpus") == elsewhere.parent / "shared" / "data" / "x-corpus"


def test_checkout_is_searched_from_any_directory(elsewhere):
    assert CHECKOUT / "data" in data_folders()
    assert CHECKOUT / "../shared/data" in data_folders()


def test_environment_variable_is_the_only_place_when_set(elsewhere, monkeypatch):
    (elsewhere / "data" / "x-corpus").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(elsewhere / "stated"))
    with pytest.raises(MissingDataError, match=r"stated/meld; get it with `dialogue-ser data download meld`"):
        find_data("meld")
    with pytest.raises(MissingDataError, match=r"stated/x-corpus; give its path"):
        find_data("x-corpus")
    (elsewhere / "second" / "x-corpus").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", os.pathsep.join([str(elsewhere / "stated"), str(elsewhere / "second")]))
    assert find_data("x-corpus") == elsewhere / "second" / "x-corpus"


def test_missing_data_names_every_place_searched(elsewhere):
    with pytest.raises(MissingDataError) as caught:
        find_data("no-such-corpus")
    for folder in data_folders():
        assert str(folder / "no-such-corpus") in str(caught.value)


def test_sample_is_found_whatever_the_variable_says(elsewhere, monkeypatch):
    (elsewhere / "data" / "sample").mkdir(parents=True)
    monkeypatch.setenv("DIALOGUE_SER_DATA", "/nowhere")
    assert sample_folder() == elsewhere / "data" / "sample"
