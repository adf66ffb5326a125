"""Decoding the sound of utterances: what it warns about."""

import logging

import numpy as np
import pytest
import soundfile

from dialogue_ser.corpus.schema import AudioRef, Utterance
from dialogue_ser.features.audio import decoding


@pytest.fixture(autouse=True)
def _no_warnings_yet():
    decoding._n_warnings.clear()
    yield
    decoding._n_warnings.clear()


def test_the_first_clips_whose_level_is_doubtful_are_named_and_the_others_only_mentioned(tmp_path, caplog):
    soundfile.write(tmp_path / "loud.wav", np.full(800, 16384.0), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", np.full(800, 0.5), 16000)
    turns = [
        Utterance(id=f"u{number}", speaker="a", text=None, audio=AudioRef(tmp_path / name), label=None)
        for number, name in enumerate(["good.wav"] + ["loud.wav"] * 50)
    ]
    with caplog.at_level(logging.WARNING):
        decoded = decoding.decode_turns(turns, 16000)
    assert len(decoded.ids) == 51
    assert not decoded.problems
    assert [record.getMessage().partition(":")[0] for record in caplog.records[:-1]] == ["u1", "u2", "u3"]
    assert "its peak is 16384" in caplog.records[0].getMessage()
    assert "more clips are like this; 'dialogue-ser data check'" in caplog.records[-1].getMessage()
