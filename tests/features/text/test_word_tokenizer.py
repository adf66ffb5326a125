import json

import pytest

from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.text.word_tokenizer import WordIds, ascii_quotes, split_words


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
