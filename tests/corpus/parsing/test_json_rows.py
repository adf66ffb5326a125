"""JSON in the forms that people have becomes rows. See also test_files.py."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dialogue_ser.corpus.parsing.json_rows import parse_json
from dialogue_ser.errors import CorpusError

TURNS = [{"speaker": "A", "text": "Hi", "label": "joy"}, {"speaker": "B", "text": 'Go "away"', "label": "anger"}]


def records(value, suffix: str = ".json") -> list[dict[str, str]]:
    text = value if isinstance(value, str) else json.dumps(value)
    return [dict(row.values) for row in parse_json(Path("a.json"), text, suffix)]


def in_dialogue(name: str) -> list[dict[str, str]]:
    return [{"dialogue": name, **turn} for turn in TURNS]


def test_an_array_of_turns_is_a_table_whose_rows_are_counted_from_one():
    rows = parse_json(Path("a.json"), json.dumps(TURNS), ".json")
    assert [(row.origin, dict(row.values)) for row in rows] == [
        ("a.json row 1", TURNS[0]), ("a.json row 2", TURNS[1])
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        {"d1": TURNS},
        {"d1": {"sentences": ["Hi", 'Go "away"'], "speakers": ["A", "B"], "labels": ["joy", "anger"]}},
        {"d1": {"turns": TURNS}},
        [{"dialogue_id": "d1", "turns": TURNS}],
        [{"dialogue_id": "d1", "text": ["Hi", 'Go "away"'], "speakers": ["A", "B"], "label": ["joy", "anger"]}],
        {"version": 2, "dialogues": [{"id": 1, "dialogue_id": "d1", "utterances": TURNS}]},
    ],
)
def test_dialogues_may_be_keys_arrays_or_lists_of_columns(value):
    found = records(value)
    assert [list(filter(None, (record.get("dialogue"), record.get("dialogue_id")))) for record in found] == [["d1"]] * 2
    assert [record.get("text", record.get("sentences")) for record in found] == ["Hi", 'Go "away"']
    assert [record.get("speaker", record.get("speakers")) for record in found] == ["A", "B"]
    assert [record.get("label", record.get("labels")) for record in found] == ["joy", "anger"]


def test_dialogues_without_names_are_counted():
    assert records([TURNS, TURNS]) == in_dialogue("1") + in_dialogue("2")
    lines = "\n".join(json.dumps({"turns": TURNS}) for _ in range(2))
    assert records(lines, ".jsonl") == in_dialogue("1") + in_dialogue("2")


def test_the_turns_of_a_transcript_are_read_without_the_words_around_them():
    segments = [{"start": 0.5, "end": 2.0, "text": " Where?", "speaker": "S0"}]
    assert records({"segments": segments, "language": "en"}) == [
        {"dialogue": "1", "language": "en", "start": "0.5", "end": "2.0", "text": " Where?", "speaker": "S0"}
    ]


def test_an_object_of_splits_names_the_splits():
    found = records({"train": {"d1": TURNS}, "validation": {"d1": TURNS}, "test": []})
    assert [(record["split"], record["dialogue"]) for record in found] == [("train", "d1")] * 2 + [
        ("validation", "d1")
    ] * 2


@pytest.mark.parametrize("orient", ["split", "columns", "index", "records", "table"])
def test_every_orientation_of_pandas_gives_the_same_rows(orient):
    found = records(pd.DataFrame(TURNS).to_json(orient=orient))
    assert [{name: record[name] for name in TURNS[0]} for record in found] == TURNS


def test_json_lines_and_columns_of_pandas_are_read_from_files_called_json():
    assert records("\n".join(map(json.dumps, TURNS))) == TURNS
    assert records("\r".join(map(json.dumps, TURNS))) == TURNS
    odd = [{**TURNS[0], "text": "a\u2028b"}, TURNS[1]]  # splitlines would end a line in this text
    assert records("\n".join(json.dumps(turn, ensure_ascii=False) for turn in odd)) == odd
    assert records(pd.DataFrame(TURNS).to_dict("list")) == TURNS
    assert records(json.dumps(TURNS, indent=2), ".jsonl") == TURNS


def test_the_name_of_a_turn_in_an_object_is_its_utterance_id():
    assert [record["utterance_id"] for record in records({"u1": TURNS[0], "u2": TURNS[1]})] == ["u1", "u2"]


def test_objects_in_a_turn_become_columns_and_lists_stay_cells():
    turn = {"text": "Hi", "speaker": {"id": 7, "name": "Ann"}, "who": ["A", "B"], "empty": {}}
    assert records([turn]) == [
        {"text": "Hi", "speaker.id": "7", "speaker.name": "Ann", "who": '["A", "B"]', "empty": ""}
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "JSON without turns (a list of 0 values)"),
        ("{}", "JSON without turns (an object)"),
        ('["a", "b"]', "JSON without turns (a list of 2 values)"),
        ('[{"text": "a",}]', "is not valid JSON (Expecting property name"),
        ('[{"text": NaN}]', "NaN is not a JSON number"),
        ('[{"text": 1, "text": 2}]', "text is in it twice"),
        ("[" * 100_000, "is not valid JSON"),
        (f'[{{"label": {"9" * 5000}}}]', "is not valid JSON"),
        (f'[{{"text": {"[" * 50}{"]" * 50}}}]', "row 1: text holds more than 20 lists inside each other"),
        ('[{"text": "a\\u0000b"}]', "row 1: holds a NUL character"),
    ],
)
def test_what_holds_no_turns_is_one_line(text, reason):
    with pytest.raises(CorpusError) as caught:
        records(text)
    (problem,) = caught.value.problems
    assert reason in problem
    assert len(problem) < 400


def test_a_number_of_any_length_is_a_text():
    assert records(f'[{{"label": {"9" * 400}}}]') == [{"label": "9" * 400}]
