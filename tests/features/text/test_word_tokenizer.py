import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.text.word_tokenizer import (
    WordIds,
    ascii_quotes,
    split_words,
    split_words_by_the_first_rule,
)


def test_ids_go_by_falling_count_then_alphabet_after_the_two_special_ones(dialogue) -> None:
    words = WordIds().fit([dialogue(["b a b", "c b a"])])
    assert words.words == ("b", "a", "c")
    assert words.n_ids == 5
    assert words.encode([dialogue(["c zzz B"], name="x")])["x_utt0"].tolist() == [4, 1, 2]


def test_the_vocabulary_does_not_depend_on_the_order_of_dialogues(dialogue) -> None:
    talks = [dialogue(["x y"], name="a"), dialogue(["z y"], name="b")]
    assert WordIds().fit(talks).words == WordIds().fit(talks[::-1]).words


def test_curly_quotes_case_and_punctuation_are_normalised() -> None:
    assert split_words("I\u2019M \u201cSO\u201d happy!!") == ["i'm", '"', "so", '"', "happy", "!", "!"]
    assert ascii_quotes("caf\u00e9 \x92s") == "caf\u00e9 's"


FAMILY, THUMB = "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd"
FLAGS = ("\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("नमस्ते दोस्त", ["नमस्ते", "दोस्त"]),
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
        ("שָׁלוֹם צה\"ל", ["שָׁלוֹם", 'צה"ל']),
        ("한국어 좋아", ["한국어", "좋아"]),
        ("你好吗", ["你", "好", "吗"]),
        ("カタカナです", ["カタカナ", "で", "す"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("\u0e01\u0e47\u200b\u0e14\u0e35", ["\u0e01\u0e47", "\u0e14\u0e35"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        ("col·lega м\u02bcята м\u2019ята", ["col·lega", "м'ята", "м'ята"]),
        (f"{FAMILY} {THUMB}", [FAMILY, THUMB]),
        ("\u2764\ufe0f\u2764 \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", ["\u2764", "\u2764", *FLAGS]),
        ("\ufeffhi\u200e so\u00adft", ["hi", "soft"]),
        ("é, 3.14 'em rock'n'roll okay.I", ["é", ",", "3", ".", "14", "'", "em", "rock'n'roll", "okay", ".", "i"]),
    ],
)  # fmt: skip
def test_words_of_any_script_end_where_unicode_says(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_two_spellings_of_an_accent_are_one_word() -> None:
    composed = "Ça va, élève ? À l’été"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert split_words(decomposed) == split_words(composed) == ["ça", "va", ",", "élève", "?", "à", "l'été"]


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
@example("the 1890's, 'em 5'10 rock'n'roll'' snake_case 3.14 a:b\x00c")
def test_english_is_split_as_before_and_alike_with_and_without_other_letters(text: str) -> None:
    words = split_words(text)
    assert split_words(f"{text} é") == [*words, "é"]
    assert words == [word for word in split_words_by_the_first_rule(text) if word.isprintable()]


@given(st.text(alphabet=st.characters(exclude_characters="\u02bc\u00ad"), max_size=30))
def test_no_text_breaks_it_and_nothing_that_is_seen_is_lost(text: str) -> None:
    joined = "".join(split_words(text))
    assert all(letter in joined for letter in unicodedata.normalize("NFC", text.lower()) if letter.isalnum())


def test_a_saved_vocabulary_keeps_the_rule_that_it_was_made_with(dialogue) -> None:
    """A model that an earlier version saved has no rule, and gives the ids that it always gave."""
    talk = dialogue(["नमस्ते"])
    marks = ["नमस", "\u094d", "त", "\u0947"]
    old = WordIds.from_state({"options": {"min_count": 1, "max_words": 0, "max_length": 128}, "words": marks})
    assert old.encode([talk])["train/dia0_utt0"].tolist() == [2, 3, 4, 5]
    assert "rule" not in old.state()
    new = WordIds().fit([talk])
    assert new.state()["rule"] == 2
    assert WordIds.from_state(new.state()).encode([talk])["train/dia0_utt0"].tolist() == [2]
    with pytest.raises(CheckpointError, match="rule 3, and this version knows the rules 1, 2"):
        WordIds.from_state({**new.state(), "rule": 3})


def test_unknown_words_are_reported_with_numbers_and_a_remedy_when_they_are_most_words(dialogue) -> None:
    words = WordIds().fit([dialogue(["yes no !"])])
    assert words.note_on([dialogue(["yes so", None, "!!!"])]) is None
    assert words.note_on([dialogue(["!!! ...", None])]) is None
    note = words.note_on([dialogue(["สวัสดี yes ? !"])])
    assert note is not None
    assert "4 of 5 words are unknown" in note
    assert "e.g. 'ส', 'วั', 'ดี'" in note
    assert "hf-text" in note


def test_rare_words_are_unknown_and_the_vocabulary_can_be_capped(dialogue) -> None:
    talk = dialogue(["a a a b b c"])
    assert WordIds(min_count=2).fit([talk]).words == ("a", "b")
    assert WordIds(max_words=1).fit([talk]).words == ("a",)


def test_empty_text_is_one_unknown_word_and_no_text_is_absent(dialogue) -> None:
    words = WordIds(max_length=2).fit([dialogue(["a"])])
    rows = words.encode([dialogue(["", None, "a a a"])])
    assert {key: row.tolist() for key, row in rows.items()} == {"train/dia0_utt0": [1], "train/dia0_utt2": [2, 2]}


def test_state_survives_json_exactly(dialogue) -> None:
    talk = dialogue(["\u00fcber \u201cNA\u201d null", "none"])
    words = WordIds(min_count=1, max_words=50, max_length=7).fit([talk])
    again = WordIds.from_state(json.loads(json.dumps(words.state())))
    assert again.state() == words.state()
    assert {k: v.tolist() for k, v in again.encode([talk]).items()} == {
        k: v.tolist() for k, v in words.encode([talk]).items()
    }


def test_misuse_is_refused(dialogue) -> None:
    with pytest.raises(FeatureError, match="fit the vocabulary"):
        WordIds().encode([dialogue(["a"])])
    with pytest.raises(FeatureError, match="has a text"):
        WordIds().fit([dialogue([None])])
    with pytest.raises(ConfigError, match="min_count 0"):
        WordIds(min_count=0)
    with pytest.raises(CheckpointError, match="repeats"):
        WordIds.from_state({"options": {}, "words": ["a", "a"]})
    with pytest.raises(CheckpointError, match="cannot be read"):
        WordIds.from_state({"options": {"nonsense": 1}, "words": []})
