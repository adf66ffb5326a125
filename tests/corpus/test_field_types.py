from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dialogue_ser.corpus.readers import READERS, read_corpus, register_reader
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.validate import validate
from dialogue_ser.errors import ConfigError, CorpusError

GOOD = Utterance(id="train/0", speaker="A", text="hello", label="a", origin="x.csv row 2")


def corpus_of(turns: Any = (GOOD,), **changed: Any) -> Corpus:
    values: dict[str, Any] = {"name": "mine", "label_set": LabelSet("emotion", ("a", "b"))}
    values["splits"] = {"train": (Dialogue("train/d", turns),)}
    return Corpus(**(values | changed))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", 3, "id is 3, expected a text"),
        ("speaker", None, "speaker is None, expected a text"),
        ("text", 3.5, "text is 3.5, expected a text or None"),
        ("text", "half \ud800", "half a character"),
        ("label", 1, "label is 1, expected a text or None"),
        ("audio", "x.wav", "audio is 'x.wav', expected an AudioRef"),
        ("votes", ["a"], "votes is ['a'], expected a mapping"),
        ("votes", {1: 2}, "its keys must be texts"),
        ("targets", [0.5], "targets is [0.5], expected a mapping"),
        ("attributes", ["x"], "attributes is ['x'], expected a mapping"),
        ("start_seconds", "0.5", "start_seconds is '0.5', expected a number"),
        ("text", ["x" * 10_000], "characters)"),
    ],
)
def test_a_field_of_a_wrong_type_is_named_with_its_turn(field, value, message):
    with pytest.raises(CorpusError) as caught:
        validate(corpus_of((replace(GOOD, **{field: value}),)))
    assert message in str(caught.value)
    assert str(caught.value).startswith("x.csv row 2 (")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "changed",
    [
        {"label_set": ("a", "b")},
        {"splits": [1, 2]},
        {"splits": {"train": None}},
        {"splits": {"train": (item for item in ())}},
        {"splits": {"train": [{"id": "d"}]}},
        {"splits": {1: (Dialogue("1/d", (GOOD,)),)}},
        {"splits": {"train": [Dialogue("train/d", [{"text": "x"}])]}},  # type: ignore[arg-type, list-item]
        {"splits": {"train": [Dialogue(5, (GOOD,))]}},  # type: ignore[arg-type]
    ],
)
def test_a_corpus_of_wrong_parts_is_refused(changed):
    with pytest.raises(CorpusError):
        validate(corpus_of(**changed))


def test_all_wrong_turns_are_named_and_numbers_of_numpy_and_lists_are_right():
    turns = tuple(replace(GOOD, id=f"train/{n}", text=n) for n in range(30))
    with pytest.raises(CorpusError) as caught:
        validate(corpus_of(turns))
    assert len(caught.value.problems) == 30
    turn = replace(GOOD, start_seconds=np.float32(0.5), end_seconds=1)
    validate(corpus_of([turn], splits={"train": [Dialogue("train/d", (turn,))]}))


def boom(path, labels):
    raise KeyError("column")


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (lambda path, labels: None, "returned NoneType; let it return"),
        (lambda path, labels: [], "returned list"),
        (lambda path, labels: (part for part in ()), "returned generator"),
        (lambda path, labels: Corpus, "returned type"),
        (lambda: None, "is called as function(path, labels, **options)"),
        (boom, "your function failed: KeyError: 'column'"),
    ],
)
def test_a_reader_that_fails_or_returns_no_corpus_is_one_line(reader, message, monkeypatch):
    monkeypatch.setattr(READERS, "registered", dict(READERS.registered))
    register_reader("odd")(reader)
    with pytest.raises(ConfigError) as caught:
        read_corpus("odd")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
