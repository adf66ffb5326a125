"""A plain function as an encoder; see also test_registry.py."""

import functools

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


class Scaled:
    """A callable object with a state."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, texts):
        return np.array([[self.scale * len(text)] for text in texts])

    def method(self, texts):
        return self(texts)


class Described(Scaled):
    def fingerprint(self):
        return {"scale": [float(value) for value in self.scale]}


class Slotted:
    __slots__ = ("scale",)

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, texts):
        return np.ones((len(texts), 2))


def scaled(texts, scale=1.0, shift=0.0):
    return np.array([[scale * len(text) + shift] for text in texts])


MAKERS = {
    "partial": lambda value: functools.partial(scaled, scale=value),
    "partial of a partial": lambda value: functools.partial(functools.partial(scaled, scale=value), shift=1.0),
    "callable object": Scaled,
    "method": lambda value: Scaled(value).method,
    "partial of an object": lambda value: functools.partial(Scaled(value)),
    "object with slots": Slotted,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_a_partial_or_an_object_holds_is_part_of_its_fingerprint(make, dialogue) -> None:
    def encoder(value):
        return build_encoder_of(make(value))

    assert encoder(2.0).fingerprint() == encoder(2.0).fingerprint()
    assert encoder(2.0).fingerprint() != encoder(3.0).fingerprint()
    assert encoder(2.0).fingerprint()["code"] is not None
    assert len(encoder(2.0).encode([dialogue(["hi", "there"])])) == 2
    with pytest.raises(ConfigError, match=r"'scale' is array.*cannot be a part of the encoder's fingerprint"):
        encoder(np.ones(3)).fingerprint()


def build_encoder_of(function):
    return FunctionEncoder(function, "own", "text", "text", {})


def test_an_object_can_describe_what_json_cannot_hold() -> None:
    assert build_encoder_of(Described(np.array([1.0, 2.0]))).fingerprint()["state"] == {"scale": [1.0, 2.0]}


def test_a_plain_function_has_the_fingerprint_that_it_always_had() -> None:
    found = build_encoder_of(lengths).fingerprint()
    assert set(found) == {"function", "code", "options", "sample_rate_hz", "version"}
    assert found["function"] == f"{__name__}:lengths"
