"""A plain function as an encoder; see also test_registry.py."""

import numpy as np
import pytest

from dialogue_ser.errors import ConfigError, FeatureError, MediaError
from dialogue_ser.features.function_encoder import FunctionEncoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.media.decode import decoder_versions


def seconds(waveforms, sample_rate_hz):
    return np.array([[len(wave) / sample_rate_hz] for wave in waveforms])


def lengths(texts):
    return np.array([[len(text)] for text in texts])


def test_a_function_that_fails_is_named_with_its_error_and_line(dialogue) -> None:
    def look_up(texts: list[str]) -> list[list[float]]:
        raise KeyError("no such word")

    encoder = FunctionEncoder(look_up, "own", "text", "text", {})
    with pytest.raises(FeatureError, match=r"'own': your function failed: KeyError.*\(.*encoder\.py:\d+\)"):
        encoder.encode([dialogue(["hi"])])


def test_one_bad_clip_does_not_cost_the_store_the_good_ones(spoken, tmp_path) -> None:
    talk = spoken([0.5, 0.25, 1.0])
    talk.utterances[1].audio.path.unlink()
    store = FeatureStore(tmp_path)
    with pytest.raises(MediaError, match=r"row 3 \(train/dia0_utt1\): .*no such file(.|\n)*on_bad mask"):
        store.table(FunctionEncoder(seconds, "own", "audio", "audio", {}), [talk], progress=False)
    totals: list[int] = []
    masking = FunctionEncoder(seconds, "own", "audio", "audio", {}, on_bad="mask")
    rows = store.table(masking, [talk], progress=lambda done, total: totals.append(total))
    assert {key: row.tolist() for key, row in rows.items()} == {"train/dia0_utt0": [0.5], "train/dia0_utt2": [1.0]}
    assert set(totals) == {1}, "only the bad clip was tried again"


def test_the_fingerprint_of_an_audio_function_holds_the_decoder_versions() -> None:
    assert FunctionEncoder(seconds, "own", "audio", "audio", {}).fingerprint()["versions"] == decoder_versions()
    assert "versions" not in FunctionEncoder(lengths, "own", "text", "text", {}).fingerprint()


@pytest.mark.parametrize("rate", ["fast", 0, -8000, 16000.5, None])
def test_a_sample_rate_that_is_not_a_positive_whole_number_is_refused(rate) -> None:
    with pytest.raises(ConfigError, match=r"'own': sample_rate_hz .* must be a whole number above 0"):
        FunctionEncoder(seconds, "own", "audio", "audio", {"sample_rate_hz": rate})
