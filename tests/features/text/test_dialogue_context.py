import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.text.dialogue_context import SpecialTokens, TurnWindow, turn_sequences

BERT = SpecialTokens(prefix=(1,), suffix=(2,), between=(2,))
IDS: dict[str, int] = {}


def tokenise(texts: list[str]) -> list[list[int]]:
    """One id per word, from 10."""
    return [[IDS.setdefault(word, 10 + len(IDS)) for word in text.split()] for text in texts]


def talk(*turns: tuple[str, str | None]) -> Dialogue:
    return Dialogue("d", tuple(Utterance(id=f"u{i}", speaker=who, text=text) for i, (who, text) in enumerate(turns)))


def read(dialogue: Dialogue, max_tokens: int = 64, **window: object) -> dict[str, tuple[str, str]]:
    """Per turn: its sequence and its own tokens, in words."""
    found = turn_sequences([dialogue], TurnWindow(**window), tokenise, BERT, max_tokens)
    names = {index: word for word, index in IDS.items()} | {1: "[", 2: "|"}

    def spell(ids: list[int]) -> str:
        return " ".join(names[i] for i in ids)

    return {key: (spell(t.ids), spell(t.ids[t.start : t.stop])) for key, t in found.items()}


TALK = talk(("Ann", "a b"), ("Bo", "c"), ("Ann", "d e f"), ("Bo", "g"))


def test_a_turn_stands_between_separators_among_its_neighbours_and_is_found_again():
    assert read(TALK, past=1, future=1, speakers=True) == {
        "u0": ("[ Ann: a b | Bo: c |", "a b"),
        "u1": ("[ Ann: a b | Bo: c | Ann: d e f |", "c"),
        "u2": ("[ Bo: c | Ann: d e f | Bo: g |", "d e f"),
        "u3": ("[ Ann: d e f | Bo: g |", "g"),
    }
    assert read(TALK, past=2)["u3"] == ("[ c d e f | g |", "g")
    assert read(TALK, speakers=True)["u1"] == ("[ Bo: c |", "c")


def test_what_is_too_long_is_cut_from_the_far_ends_and_the_turn_last():
    long = talk(("A", "a b c d"), ("B", "t u"), ("A", "w x y z"))
    assert read(long, 10, past=1, future=1)["u1"] == ("[ c d | t u | w x |", "t u")
    assert read(long, 9, past=1, future=1)["u1"] == ("[ c d | t u | w |", "t u")
    assert read(long, 9, past=1)["u1"][0] == "[ b c d | t u |"
    assert read(long, 6, past=1, future=1)["u1"] == ("[ t u |", "t u")
    assert read(long, 5, past=1, future=1, speakers=True)["u1"] == ("[ B: |", "B:")
    with pytest.raises(ConfigError, match="set it to at least 5"):
        read(long, 4, past=1)


def test_turns_without_words_are_pooled_over_what_there_is():
    quiet = talk(("A", ""), ("B", None), ("A", "x"))
    assert read(quiet, past=2, speakers=True) == {"u0": ("[ A: |", "A:"), "u2": ("[ A: | A: x |", "x")}
    assert read(quiet, past=1) == {"u0": ("[ |", "[ |"), "u2": ("[ x |", "x")}


def test_negative_windows_are_refused():
    with pytest.raises(ConfigError, match="context_past -1"):
        TurnWindow(past=-1)


TEXTS = st.lists(st.tuples(st.sampled_from("AB"), st.none() | st.text("abc ", max_size=9)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.integers(0, 4), st.integers(5, 20), st.booleans())
def test_without_future_turns_nothing_after_a_turn_changes_anything_up_to_it(past, one, other, n, most, speakers):
    window = TurnWindow(past=n, speakers=speakers)
    first, second = (turn_sequences([talk(*past, *rest)], window, tokenise, BERT, most) for rest in (one, other))
    seen = {f"u{i}" for i in range(len(past))}
    assert {k: v for k, v in first.items() if k in seen} == {k: v for k, v in second.items() if k in seen}
    for tokens in (*first.values(), *second.values()):
        assert len(tokens.ids) <= most
        assert 0 <= tokens.start < tokens.stop <= len(tokens.ids)


def test_control_with_future_turns_a_later_text_changes_a_turn():
    assert read(talk(("A", "x"), ("B", "y")), future=1)["u0"] != read(talk(("A", "x"), ("B", "z")), future=1)["u0"]
