from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance
from dialogue_ser.errors import CorpusError
from dialogue_ser.inference.conversations import as_dialogues


def test_pairs_are_one_conversation_in_their_order():
    [dialogue] = as_dialogues([("Ross", "Hi."), ("Joey", "Hey!"), ("Ross", "So.")])
    assert [turn.text for turn in dialogue] == ["Hi.", "Hey!", "So."]
    assert dialogue.speakers == ("Ross", "Joey")


def test_two_pairs_are_one_conversation_and_two_lists_are_two():
    assert len(as_dialogues([("Ross", "Hi."), ("Joey", "Hey!")])) == 1
    first, second = as_dialogues([[("Ross", "Hi.")], [("Joey", "Hey!"), ("Ross", "Oh.")]])
    assert (len(first), len(second)) == (1, 2)


def test_ids_are_unique_over_all_conversations():
    dialogues = as_dialogues([[("A", "x"), ("B", "y")], [("A", "x"), ("B", "y")]])
    ids = [turn.id for dialogue in dialogues for turn in dialogue]
    assert len(set(ids)) == 4
    assert all(name.startswith("new/") for name in ids)


def test_a_mapping_carries_audio_with_its_span():
    [dialogue] = as_dialogues([{"speaker": "A", "audio": "a.wav", "start_seconds": 1.5, "end_seconds": 2.0}])
    assert dialogue.utterances[0].audio == AudioRef(Path("a.wav"), 1.5, 2.0)
    assert dialogue.utterances[0].text is None


def test_dialogues_pass_through_unchanged():
    dialogue = Dialogue("new/d", (Utterance(id="new/d_0", speaker="A", text="x"),))
    assert as_dialogues(dialogue) == (dialogue,)
    assert as_dialogues([dialogue]) == (dialogue,)


def test_every_bad_turn_is_named_in_one_error():
    with pytest.raises(CorpusError) as caught:
        as_dialogues([("A", "x"), "hello", {"speaker": "B", "txt": "y"}, {"speaker": "C"}, (1, "z")])
    text = str(caught.value)
    assert "dia0_utt1: found 'hello'" in text
    assert "unknown key 'txt'; did you mean 'text'?" in text
    assert "dia0_utt3: has neither text nor audio" in text
    assert "dia0_utt4: found (1, 'z')" in text


@pytest.mark.parametrize("given", [[], "hello", {"speaker": "A", "text": "x"}, 3, [[]]])
def test_what_is_no_dialogue_is_refused(given):
    with pytest.raises(CorpusError):
        as_dialogues(given)


def test_the_same_utterance_id_in_two_dialogues_is_refused():
    dialogue = Dialogue("new/d", (Utterance(id="new/d_0", speaker="A", text="x"),))
    with pytest.raises(CorpusError, match="'new/d_0' occurs twice"):
        as_dialogues([dialogue, Dialogue("new/e", dialogue.utterances)])


def test_dialogues_and_turns_cannot_be_mixed():
    dialogue = Dialogue("new/d", (Utterance(id="new/d_0", speaker="A", text="x"),))
    with pytest.raises(CorpusError, match="give either Dialogue objects or conversations"):
        as_dialogues([dialogue, ("A", "x")])
