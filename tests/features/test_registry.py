import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from unittest import mock

import numpy as np
import pytest

from dialogue_ser import registry as names
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, FeatureError, MediaError
from dialogue_ser.features import registry
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.registry import ENCODERS, build_encoder, list_encoders, register_encoder


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    with mock.patch.dict(ENCODERS.registered, clear=True):
        yield


class Lengths:
    kind = "vector"

    def __init__(self, *, scale: float = 1.0, on_bad: str = "error") -> None:
        self.scale = scale

    def fingerprint(self):
        return {"scale": self.scale}

    def encode(self, dialogues):
        return {turn.id: np.array([len(turn.text) * self.scale]) for turn in utterances(dialogues) if turn.text}


def test_a_decorated_class_is_built_with_its_options(dialogue) -> None:
    register_encoder("lengths", modality="text")(Lengths)
    encoder = build_encoder("lengths", "text", {"scale": 2.0})
    assert encoder.encode([dialogue(["abc", None])]) == {"train/dia0_utt0": np.array([6.0])}
    assert (encoder.name, encoder.modality, encoder.kind) == ("lengths", "text", "vector")
    assert encoder.traits.context == "dialogue", "a class that does not say may read neighbours"


def test_a_decorated_function_sees_texts_and_its_options(dialogue) -> None:
    @register_encoder("shout", modality="text")
    def shout(texts, *, letter="!"):
        """Counts a letter."""
        return [[text.count(letter), 1] for text in texts]

    encoder = build_encoder("shout", "text", {"letter": "?"})
    rows = encoder.encode([dialogue(["what??", None, "no"])])
    assert {key: row.tolist() for key, row in rows.items()} == {"train/dia0_utt0": [2, 1], "train/dia0_utt2": [0, 1]}
    assert encoder.fingerprint()["options"] == {"letter": "?"}
    assert any(info.name == "shout" and info.description == "Counts a letter." for info in list_encoders())


def test_an_audio_function_gets_resampled_waveforms(spoken) -> None:
    @register_encoder("loudness")
    def loudness(waveforms, sample_rate_hz):
        assert sample_rate_hz == 8000
        return np.array([[np.abs(wave).max(), len(wave)] for wave in waveforms])

    rows = build_encoder("loudness", "audio", {"sample_rate_hz": 8000}).encode([spoken([0.5, 1.0])])
    assert [round(float(row[1])) for row in rows.values()] == [4000, 8000]


def test_an_audio_function_names_all_broken_clips_or_masks_them(spoken) -> None:
    @register_encoder("seconds")
    def seconds(waveforms, sample_rate_hz):
        return np.array([[len(wave)] for wave in waveforms])

    talk = spoken([0.5, 0.5, 0.5])
    for turn in talk.utterances[:2]:
        turn.audio.path.unlink()
    with pytest.raises(MediaError, match=r"row 2(.|\n)*row 3(.|\n)*on_bad mask"):
        build_encoder("seconds", "audio").encode([talk])
    assert len(build_encoder("seconds", "audio", on_bad="mask").encode([talk])) == 1


def test_a_module_path_imports_from_the_working_folder(dialogue, tmp_path, monkeypatch) -> None:
    (tmp_path / "my_own_encoders.py").write_text("def count(texts):\n    return [[len(t)] for t in texts]\n")
    monkeypatch.chdir(tmp_path)
    encoder = build_encoder("my_own_encoders:count", "text")
    assert encoder.encode([dialogue(["four"])])["train/dia0_utt0"].tolist() == [4]
    assert str(tmp_path) not in sys.path
    sys.modules.pop("my_own_encoders")
    with pytest.raises(ConfigError, match="cannot import my_own_encoders:missing"):
        build_encoder("my_own_encoders:missing", "text")


def test_an_entry_point_is_found_by_name(monkeypatch, dialogue) -> None:
    point = EntryPoint("plugged", f"{__name__}:Lengths", registry.ENTRY_POINT_GROUP)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Lengths.__module__])
    monkeypatch.setattr(names, "entry_points", lambda group: [point] if group == point.group else [])
    assert build_encoder("plugged", "text").encode([dialogue(["ab"])])["train/dia0_utt0"].tolist() == [2.0]
    assert any(info.name == "plugged" and info.origin == "entry point" for info in list_encoders())


def test_unknown_names_and_options_suggest_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'opensmile'"):
        build_encoder("opensmil", "audio")
    with pytest.raises(ConfigError, match=r"'textcn'.*did you mean 'textcnn'"):
        build_encoder("textcn", "text", also_known=["textcnn"])
    with pytest.raises(ConfigError, match=r"'feature_sett'; did you mean 'feature_set'\? Known: .*processes"):
        build_encoder("opensmile", "audio", {"feature_sett": "emobase"})
    with pytest.raises(ConfigError, match="option model is required"):
        build_encoder("hf-text", "text")
    register_encoder("plain")(lambda texts: texts)
    with pytest.raises(ConfigError, match=r"'pooling'.*known: \(none\)"):
        build_encoder("plain", "text", {"pooling": "mean"})
    with pytest.raises(ConfigError, match="is taken"):
        register_encoder("minilm")


def test_every_listed_encoder_can_be_imported_and_is_described() -> None:
    assert {info.name for info in list_encoders()} >= set(ENCODERS)
    for name in ENCODERS:
        assert callable(ENCODERS[name])
        assert registry.DESCRIPTIONS[name]


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (np.zeros((1, 3)), "one row per utterance"),
        (np.zeros(2), "one row per utterance"),
        ([[1.0], [1.0, 2.0]], "different lengths"),
        (np.array([[1.0], [np.nan]]), r"dia0_utt1: has 1 of 1 values that are NaN or infinite"),
        (np.array([[1.0], [-3e38]]), r"dia0_utt1: has values up to 3\.0e\+38, which no model can compute with"),
        (np.array([["a"], ["b"]]), "not numbers"),
    ],
)
def test_bad_output_of_a_function_is_refused_and_named(dialogue, output, complaint) -> None:
    register_encoder("bad")(lambda texts: output)
    with pytest.raises(FeatureError, match=complaint):
        build_encoder("bad", "text").encode([dialogue(["a", "b"])])


def test_bad_rows_of_a_class_are_all_named(dialogue) -> None:
    class Uneven(Lengths):
        def encode(self, dialogues):
            return {"train/dia0_utt0": np.zeros(2), "train/dia0_utt1": np.zeros(3), "elsewhere": np.zeros(2)}

    register_encoder("uneven")(Uneven)
    with pytest.raises(
        FeatureError, match=r"utt1: has 3 features, others have 2\n.*elsewhere: is not the id of an utterance"
    ):
        build_encoder("uneven", "text").encode([dialogue(["a", "b"])])


class Bare:
    """As little as a class needs."""

    kind = "vector"

    def fingerprint(self):
        return {"size": 1}

    def encode(self, dialogues):
        return {turn.id: np.ones(1) for dialogue in dialogues for turn in dialogue}


@pytest.mark.parametrize(
    ("fingerprint", "complaint"),
    [
        (None, "cannot be written as JSON"),
        ([1], "cannot be written as JSON"),
        ({1: "a", "b": 2}, "cannot be written as JSON"),
        ({"a": float("nan")}, "cannot be written as JSON"),
        ({"a": {1}}, "cannot be written as JSON"),
    ],
)
def test_a_fingerprint_is_a_mapping_of_plain_values(fingerprint, complaint) -> None:
    register_encoder("odd-fingerprint")(type("Odd", (Bare,), {"fingerprint": lambda self: fingerprint}))
    with pytest.raises(FeatureError, match=rf"'odd-fingerprint': fingerprint\(\) {complaint}"):
        build_encoder("odd-fingerprint", "text").fingerprint()


@pytest.mark.parametrize("part", ["fingerprint", "encode", "costs"])
@pytest.mark.parametrize("error", [RuntimeError, OSError, MemoryError, KeyError])
def test_a_class_that_fails_is_named_with_its_error_and_line(dialogue, part, error) -> None:
    def fail(*_):
        raise error("broken pen")

    register_encoder("failing")(type("Failing", (Bare,), {part: fail}))
    encoder = build_encoder("failing", "text")
    ask = {
        "fingerprint": encoder.fingerprint,
        "encode": lambda: encoder.encode([dialogue(["a"])]),
        "costs": lambda: encoder.costs(list(dialogue(["a"]))),
    }[part]
    found = rf"'failing': Failing failed in {part}\(\): {error.__name__}: '?broken pen'? \(.*test_registry\.py:\d+\)"
    with pytest.raises(FeatureError, match=found):
        ask()


def test_a_class_that_cannot_be_made_is_named() -> None:
    def fail(_):
        raise KeyError("pen")

    register_encoder("unmade")(type("Unmade", (Bare,), {"__init__": fail}))
    with pytest.raises(ConfigError, match=r"encoder 'unmade'.*pen"):
        build_encoder("unmade", "text")


def test_tensors_of_any_precision_are_rows(dialogue) -> None:
    import torch

    rows = torch.tensor([[1.5, 2.0], [3.0, 4.0]], dtype=torch.bfloat16, requires_grad=True)
    register_encoder("tensor", modality="text")(lambda texts: rows[: len(texts)])
    register_encoder("tensor-class")(
        type("T", (Bare,), {"encode": lambda self, some: dict(zip([t.id for d in some for t in d], rows, strict=True))})
    )
    talk = dialogue(["a", "b"])
    for name in ("tensor", "tensor-class"):
        found = build_encoder(name, "text").encode([talk])
        assert [row.tolist() for row in found.values()] == [[1.5, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("row", [[1.5, 2.0], [-1, 2], [True, False]])
def test_tokens_are_whole_numbers_from_0_upwards(dialogue, row) -> None:
    encode = lambda self, some: {turn.id: np.array(row) for d in some for turn in d}  # noqa: E731
    register_encoder("tokens")(type("Tokens", (Bare,), {"kind": "tokens", "encode": encode}))
    with pytest.raises(FeatureError, match="holds tokens that are not whole numbers"):
        build_encoder("tokens", "text").encode([dialogue(["a"])])


def test_ragged_rows_of_a_class_are_named(dialogue) -> None:
    encode = lambda self, some: {turn.id: [[1.0, 2.0], [3.0]] for d in some for turn in d}  # noqa: E731
    register_encoder("ragged")(type("Ragged", (Bare,), {"kind": "frames", "encode": encode}))
    with pytest.raises(FeatureError, match=r"dia0_utt0: is not an array \(.*inhomogeneous"):
        build_encoder("ragged", "text").encode([dialogue(["a"])])


@pytest.mark.parametrize(
    "wrong", [{"context": (1.5, 0)}, {"context": (-1, 0)}, {"context": None}, {"reads": "text"}, {"reads": ("texts",)}]
)
def test_traits_are_turns_and_fields_of_an_utterance(wrong) -> None:
    with pytest.raises(ConfigError, match=f"EncoderTraits: {next(iter(wrong))}"):
        EncoderTraits(**wrong)


def test_a_class_without_the_interface_is_refused_and_all_missing_parts_are_named() -> None:
    register_encoder("empty")(type("Empty", (), {}))
    with pytest.raises(FeatureError, match="no encode, no fingerprint, no kind"):
        build_encoder("empty", "text")


def test_a_function_that_reads_neither_text_nor_audio_is_refused() -> None:
    register_encoder("odd")(lambda pictures: pictures)
    with pytest.raises(ConfigError, match="cannot tell whether"):
        build_encoder("odd", "visual")


def test_an_option_of_a_wrong_type_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"encoder 'opensmile': option sample_rate_hz: found 'x', expected a whole number"
    ):
        build_encoder("opensmile", "audio", {"sample_rate_hz": "x"})
    with pytest.raises(ConfigError) as caught:  # all of them, also where a function makes the encoder
        build_encoder("minilm", "text", {"batch_size": 1.5, "layers": -1, "device": 0, "pooling": "cls"})
    assert [problem.split(":")[1].strip() for problem in caught.value.problems] == [
        "option batch_size", "option layers", "option device"
    ]  # fmt: skip


def test_options_of_a_users_class_have_the_types_it_states() -> None:
    class Sized:
        kind = "vector"

        def __init__(self, *, size: int = 1, anything=None, unknown: "Nowhere" = None) -> None:  # type: ignore[name-defined] # noqa: F821
            """Annotations that mean nothing are no reason to refuse anything."""

        fingerprint = encode = dict

    class Plain(Sized):
        def __init__(self, *, size: int = 1, anything=None) -> None:
            """One option with a type, one without."""

    register_encoder("sized")(Sized)
    register_encoder("plain")(Plain)
    build_encoder("sized", "text", {"size": "x"})
    build_encoder("plain", "text", {"size": 2, "anything": "x"})
    with pytest.raises(ConfigError, match="option size: found 'x', expected a whole number"):
        build_encoder("plain", "text", {"size": "x"})
