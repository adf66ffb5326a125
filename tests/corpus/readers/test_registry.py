"""Readers are found by name: in READERS, by entry point, and as package.module:function."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from unittest import mock

import pytest

from dialogue_ser import registry
from dialogue_ser.corpus.readers import READERS, read_corpus, register_reader
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError


def read_mine(path, labels, shout=False):
    turn = Utterance(id="train/a_utt0", speaker="Ann", text="HI" if shout else "hi", label="joy")
    label_set = LabelSet(labels, ("joy",))
    return Corpus(name="mine", label_set=label_set, splits={"train": (Dialogue("train/a", (turn,)),)})


def read_broken(path, labels, **options):
    return Corpus(name="mine", label_set=LabelSet(labels, ("joy",)), splits={"train": ()})


def test_every_reader_can_be_imported():
    for name in READERS:
        assert callable(READERS[name])


def test_the_error_about_an_unknown_reader_names_the_most_similar_one():
    with pytest.raises(ConfigError, match="unknown reader 'mled'; did you mean 'meld'"):
        read_corpus("mled")
    with pytest.raises(ConfigError, match=r"reader 'no.such.module:read': cannot import"):
        read_corpus("no.such.module:read")


def test_an_entry_point_adds_a_reader(monkeypatch):
    point = EntryPoint("mine", f"{__name__}:read_mine", "dialogue_ser.readers")
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[read_mine.__module__])
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "dialogue_ser.readers" else [])
    assert read_corpus("mine", shout=True).split("train")[0].utterances[0].text == "HI"
    with pytest.raises(ConfigError, match="reader mine: unknown option 'shuot'; did you mean 'shout'"):
        read_corpus("mine", shuot=True)


def test_every_reader_takes_a_label_map(sample):
    def labels(**options):
        corpus = read_corpus("sample", sample, splits=["train"], **options)
        return corpus.label_set, {turn.label for turn in utterances(corpus.split("train"))}

    merge = {
        "joy": "positive",
        "surprise": "positive",
        "fear": "negative",
        "sadness": "negative",
        "disgust": "negative",
    }
    order = ["negative", "neutral", "positive"]
    label_set, found = labels(label_map={**merge, "anger": "negative"}, label_order=order)
    assert label_set == LabelSet("emotion", ("negative", "neutral", "positive"))
    assert found == set(order)
    label_set, found = labels(label_map={"anger": None})
    assert "anger" not in label_set.labels
    assert None in found
    with pytest.raises(ConfigError, match="label_map: unknown emotion label 'angr'; did you mean 'anger'"):
        labels(label_map={"angr": None})
    with pytest.raises(ConfigError, match="option label_map: found 'joy', expected a mapping"):
        labels(label_map="joy")
    with pytest.raises(ConfigError, match="unknown option 'label_mat'; did you mean 'label_map'"):
        labels(label_mat={})


def test_what_a_reader_returns_is_validated():
    with mock.patch.dict(READERS.registered):
        register_reader("broken")(read_broken)
        with pytest.raises(CorpusError, match="split 'train' is empty"):
            read_corpus("broken")


def test_a_reader_that_returns_something_else_is_refused():
    with mock.patch.dict(READERS.registered):
        register_reader("counting")(lambda path, labels: 3)
        with pytest.raises(ConfigError, match=r"reader 'counting': returned int; let it return a \S+Corpus"):
            read_corpus("counting")


def test_a_decorator_adds_a_reader_and_it_gets_its_options():
    with mock.patch.dict(READERS.registered):
        register_reader("decorated")(read_mine)
        assert read_corpus("decorated", shout=True).split("train")[0].utterances[0].text == "HI"
        with pytest.raises(ConfigError, match="did you mean 'decorated'"):
            read_corpus("decorate")


def test_a_reader_must_be_a_function():
    with pytest.raises(ConfigError, match=r"reader 'sys:path': \[.*\] is not a function; name a function"):
        read_corpus("sys:path")


def test_on_bad_has_two_values():
    with pytest.raises(ConfigError, match="use error or mask"):
        read_corpus("meld", on_bad="ignore")


def test_corpora_and_media_never_import_torch():
    modules = ["dialogue_ser.media.decode", "dialogue_ser.corpus.download.fetch", "dialogue_ser.corpus.readers.meld"]
    modules += ["dialogue_ser.corpus.readers.table", "dialogue_ser.cli.commands.data"]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
