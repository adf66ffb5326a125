"""The wirings of EmotionRNN and DialogueRNN are those of docs/equations.md."""

from dialogue_ser.nn.recurrence.wiring import dialogue_rnn, emotion_rnn


def test_emotion_rnn_has_four_party_cells_and_its_emotion_cell_reads_the_self_state() -> None:
    wiring = emotion_rnn("update")
    assert wiring.cells == {
        "speaker.self": ("g", "x"),
        "speaker.inter": ("g", "context"),
        "listener.self": ("g", "x"),
        "listener.inter": ("g", "context"),
    }
    assert wiring.emotion_planes == (0,)
    assert not wiring.feeds_dropped_emotion


def test_listeners_of_dialogue_rnn_read_the_new_state_of_the_speaker() -> None:
    wiring = dialogue_rnn("update")
    assert wiring.cells == {"speaker.party": ("x", "context"), "listener.party": ("x", "speaker")}
    assert wiring.cells_that_read("context") == ("speaker.party",)
    assert wiring.feeds_dropped_emotion


def test_listeners_that_keep_their_states_have_no_cells() -> None:
    for wiring in (emotion_rnn("hold"), dialogue_rnn("hold")):
        assert not wiring.updates_listeners
        assert all(name.startswith("speaker.") for name in wiring.cells)
