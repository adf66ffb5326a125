"""Input strings of EmoBERTa."""

import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.text.published_context import chosen_neighbours, first_name, input_strings, turn_text
from dialogue_ser.features.text.subword_tokenizer import SubwordIds

TEXTS, COUNTS = ["ANN: a", "BO: b", "ANN: c", "BO: d"], [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("past", "future", "right"),
    [
        (0, 0, "BO: b"),
        (9, 0, "ANN: a</s></s>BO: b"),
        (0, 9, "BO: b</s></s>ANN: c BO: d"),
        (9, 9, "ANN: a</s></s>BO: b</s></s>ANN: c BO: d"),
        (1, 1, "ANN: a</s></s>BO: b</s></s>ANN: c"),
    ],
)
def test_a_string_has_the_turn_between_the_sides_that_are_asked_for(past, future, right):
    assert input_strings(TEXTS, COUNTS, past=past, future=future)[1] == right


def test_an_empty_side_keeps_its_separator():
    first, *_, last = input_strings(TEXTS, COUNTS, past=1, future=1)
    assert first == "</s></s>ANN: a</s></s>BO: b"
    assert last == "ANN: c</s></s>BO: d</s></s>"


def test_growth_stops_on_both_sides_with_the_first_turn_that_does_not_fit():
    counts = [1, 1, 50, 1, 2, 1, 1]
    assert chosen_neighbours(counts, 3, past=9, future=9, max_tokens=10) == (range(3, 3), range(4, 4))
    assert chosen_neighbours(counts, 4, past=9, future=9, max_tokens=4) == (range(3, 4), range(5, 6))
    assert chosen_neighbours([9], 0, past=9, future=9, max_tokens=1) == (range(0), range(1, 1))


def test_names_are_written_in_the_case_of_the_mode_and_spaces_are_stripped():
    assert [turn_text("MARY-ann", " hi  ", mode) for mode in ("upper", "title", "none")] == [
        "MARY-ANN: hi",
        "Mary-Ann: hi",
        "hi",
    ]
    with pytest.raises(ConfigError, match="expected one of upper, title, none"):
        turn_text("Ann", "hi", "lower")
    with pytest.raises(ConfigError, match="is not of IEMOCAP"):
        first_name("Ses06", "F")


def test_the_tokenizer_of_the_trained_transformer_gives_these_strings(tiny_text_model):
    turns = [("Ses01F", "a good day"), ("Ses01M", "no"), ("Ann", "fine")]
    dialogue = Dialogue(
        "d", tuple(Utterance(id=f"u{i}", speaker=name, text=text, label=None) for i, (name, text) in enumerate(turns))
    )
    options = {"model": str(tiny_text_model), "context_form": "emoberta", "speakers": True, "context_past": 2}
    tokenizer = SubwordIds(**options).fit([dialogue])
    strings = [text for text, _ in tokenizer.strings(dialogue, 99)]
    assert strings[2].replace("[SEP]", "</s>") == "MARY: a good day JAMES: no</s></s>ANN: fine"
    rows = tokenizer.encode([dialogue])
    saved = SubwordIds.from_state(tokenizer.state(), tokenizer.files())
    assert {key: row.tolist() for key, row in saved.encode([dialogue]).items()} == {
        k: r.tolist() for k, r in rows.items()
    }
    assert 0 < sum(rows["u2"] % 2) < len(rows["u2"]), "only tokens of the turn itself are pooled"
    with pytest.raises(ConfigError, match="context_form 'other'"):
        SubwordIds(context_form="other")
