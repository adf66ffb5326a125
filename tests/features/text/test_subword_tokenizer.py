import json

import numpy as np
import pytest

from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.text.subword_tokenizer import TOKENIZER, SubwordIds
from dialogue_ser.features.text.word_tokenizer import WordIds

TEXTS = ["oh my god", "no", None, "i am fine!", ""]


def test_ids_are_those_of_the_models_own_tokenizer(tiny_text_model, dialogue) -> None:
    from transformers import AutoTokenizer

    talk = dialogue(TEXTS)
    rows = SubwordIds(model=str(tiny_text_model), max_tokens=4).fit([talk]).encode([talk])
    tokenizer = AutoTokenizer.from_pretrained(tiny_text_model)
    for turn in talk:
        if turn.text is None:
            assert turn.id not in rows
            continue
        ids = tokenizer(turn.text, truncation=True, max_length=4)["input_ids"]
        np.testing.assert_array_equal(rows[turn.id], [2 * i + 1 for i in ids])
        assert rows[turn.id].dtype == np.int64


def test_special_tokens_can_be_left_out_of_the_pooling_unless_there_is_nothing_else(tiny_text_model, dialogue) -> None:
    talk = dialogue(TEXTS)
    rows = SubwordIds(model=str(tiny_text_model), pool_special_tokens=False).fit([talk]).encode([talk])
    assert (rows["train/dia0_utt0"] & 1).tolist() == [0, 1, 1, 1, 0]
    assert (rows["train/dia0_utt4"] & 1).tolist() == [1, 1]


def test_in_its_dialogue_only_the_turns_own_tokens_are_pooled(tiny_text_model, dialogue) -> None:
    talk = dialogue(["no !", "oh my"])
    front = SubwordIds(model=str(tiny_text_model), context_past=1).fit([talk])
    row = front.encode([talk])["train/dia0_utt1"]
    assert (row >> 1).tolist() == [2, 7, 14, 3, 4, 5, 3]
    assert (row & 1).tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert front.context == (1, 0)


def test_rows_of_a_whole_dialogue_depend_on_all_of_it(tiny_text_model):
    assert SubwordIds(model=str(tiny_text_model), whole_dialogue=True).context == "dialogue"
    with pytest.raises(ConfigError, match="whole_dialogue"):
        SubwordIds(model=str(tiny_text_model), whole_dialogue=True, context_past=1)


@pytest.mark.parametrize("kind", [WordIds, SubwordIds])
def test_a_saved_tokenizer_gives_the_same_rows(kind, tiny_text_model, dialogue) -> None:
    assert issubclass(kind, TokenFrontEnd)
    talk = dialogue(TEXTS)
    options = {"model": str(tiny_text_model), "context_past": 2, "speakers": True} if kind is SubwordIds else {}
    front = kind(**options).fit([talk])
    state = json.loads(json.dumps(front.state()))
    again = kind.from_state(state, front.files())
    assert again.n_ids == front.n_ids
    assert again.trained_options == front.trained_options
    assert again.state() == front.state()
    for key, row in front.encode([talk]).items():
        np.testing.assert_array_equal(again.encode([talk])[key], row)


def test_what_is_missing_or_broken_is_named(tiny_text_model, dialogue) -> None:
    talk = dialogue(TEXTS)
    with pytest.raises(ConfigError, match="max_tokens 2"):
        SubwordIds(max_tokens=2)
    with pytest.raises(FeatureError, match="no utterance of the training split has a text"):
        SubwordIds(model=str(tiny_text_model)).fit([dialogue([None])])
    with pytest.raises(FeatureError, match="fit the tokenizer"):
        SubwordIds(model=str(tiny_text_model)).encode([talk])
    state = SubwordIds(model=str(tiny_text_model)).fit([talk]).state()
    for files in ({}, {TOKENIZER: b"{}"}):
        with pytest.raises(CheckpointError, match="the saved tokenizer cannot be read"):
            SubwordIds.from_state(state, files)
