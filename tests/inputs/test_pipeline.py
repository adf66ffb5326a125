import json
import logging
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load, save

from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance, utterances
from dialogue_ser.encoders import build_input
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features import registry
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline

TEXTS = ("oh no", "what ? ! really", "a b c d", "fine", "I see you there")


@pytest.fixture(autouse=True)
def _encoders():
    with mock.patch.dict(registry.ENCODERS.registered, clear=True):

        @registry.register_encoder("letters", modality="text", version="1")
        def letters(texts, *, scale=1.0):
            return np.array([[len(text) * scale, text.count(" "), 7.0] for text in texts])

        yield


class Gaps:
    """Pitch of a text: missing where it has no vowel."""

    kind = "vector"

    def __init__(self) -> None:
        from dialogue_ser.features.core.traits import EncoderTraits

        self.traits = EncoderTraits(context=(0, 0), reads=("text",), may_be_nan=True)

    def fingerprint(self):
        return {}

    def encode(self, dialogues):
        turns = [turn for turn in utterances(dialogues) if turn.text is not None]
        return {t.id: np.array([len(t.text), np.nan if t.text == "fine" else 2.0]) for t in turns}


def talk(texts=TEXTS, name="train/d") -> Dialogue:
    turns = (Utterance(id=f"{name}_{i}", speaker="AB"[i % 2], text=text) for i, text in enumerate(texts))
    return Dialogue(name, tuple(turns))


def through_disk(pipeline: FeaturePipeline, **options) -> FeaturePipeline:
    described, arrays = pipeline.state()
    return FeaturePipeline.from_state(
        json.loads(json.dumps(described)), load(save(arrays)) if arrays else {}, **options
    )


def same(left, right) -> bool:
    return left.rows.keys() == right.rows.keys() and all(np.array_equal(left.rows[k], right.rows[k]) for k in left.rows)


def test_frozen_vectors_are_transformed_with_train_statistics_and_survive_saving(tmp_path) -> None:
    store = FeatureStore(tmp_path)
    pipeline = FeaturePipeline.build("text", "letters", {"scale": 2.0}, transforms=("standardise",)).fit(
        [talk()], store
    )
    table = pipeline.table([talk()], store)
    assert (table.spec.kind, table.spec.dim, table.spec.encoder) == ("vector", 3, None)
    x = np.stack(list(table.rows.values()))
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(0), [1, 1, 0], atol=1e-6)
    new = talk(["a completely new text"], name="test/d")
    assert same(through_disk(pipeline).table([new]), pipeline.table([new], store))
    assert through_disk(pipeline).spec == pipeline.spec


def test_trained_word_encoders_get_ids_and_their_own_options() -> None:
    pipeline = FeaturePipeline.build("text", "textcnn", {"min_count": 1, "max_length": 3, "out_dim": 4, "n_filters": 5})
    table = pipeline.fit([talk()]).table([talk(), talk(["zzz", None], name="dev/d")])
    assert (table.spec.kind, table.spec.encoder) == ("tokens", "textcnn")
    assert table.spec.options == {"out_dim": 4, "n_filters": 5}
    assert table.rows["dev/d_0"].tolist() == [1]
    assert max(len(row) for row in table.rows.values()) == 3
    assert "dev/d_1" not in table.rows
    assert build_input(table.spec).out_dim == 4
    assert same(through_disk(pipeline).table([talk()]), pipeline.table([talk()]))


def test_frames_reach_the_model_through_meanpool_by_default_or_by_name(tmp_path) -> None:
    path = tmp_path / "frames.npz"
    np.savez(path, **{turn.id: np.ones((i + 1, 2)) for i, turn in enumerate(talk())})
    options = {"path": str(path), "kind": "frames"}
    plain = FeaturePipeline.build("audio", "precomputed", options).fit([talk()])
    named = FeaturePipeline.build(
        "audio", "meanpool", {"frames": "precomputed", "frames_options": options, "dropout": 0.2}, transforms=("l2",)
    ).fit([talk()])
    assert (plain.spec.kind, plain.spec.dim, plain.spec.encoder) == ("frames", 2, "meanpool")
    assert named.spec.options == {"dropout": 0.2}
    assert named.table([talk()]).rows["train/d_4"].shape == (5, 2)
    assert same(through_disk(named).table([talk()]), named.table([talk()]))
    with pytest.raises(ConfigError, match="option frames"):
        FeaturePipeline.build("audio", "meanpool")
    with pytest.raises(ConfigError, match="gives vector"):
        FeaturePipeline.build("audio", "meanpool", {"frames": "opensmile"})


def test_missing_values_must_be_imputed_before_they_reach_the_model() -> None:
    registry.register_encoder("gaps")(Gaps)
    with pytest.raises(FeatureError, match=r"train/d_3: 1 of 2 values are missing(.|\n)*put impute first"):
        FeaturePipeline.build("text", "gaps", transforms=("standardise",)).fit([talk()]).table([talk()])
    table = FeaturePipeline.build("text", "gaps", transforms=("impute", "standardise")).fit([talk()]).table([talk()])
    assert table.spec.dim == 3
    assert all(np.isfinite(row).all() for row in table.rows.values())


def test_absent_utterances_have_no_row() -> None:
    pipeline = FeaturePipeline.build("text", "letters").fit([talk()])
    assert set(pipeline.table([talk(["a", None, None], name="dev/d")]).rows) == {"dev/d_0"}


def test_bad_clips_stop_the_run_or_are_masked(tmp_path) -> None:
    import soundfile

    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(8000) * 0.1), 16000)
    turns = [Utterance(id=f"u{i}", speaker="A", audio=AudioRef(p)) for i, p in enumerate((path, tmp_path / "gone.wav"))]
    dialogue = Dialogue("d", tuple(turns))
    with pytest.raises(ValueError, match=r"gone\.wav"):
        FeaturePipeline.build("audio", "opensmile").fit([dialogue], FeatureStore(tmp_path))
    masking = FeaturePipeline.build("audio", "opensmile", on_bad="mask").fit([dialogue], FeatureStore(tmp_path))
    assert set(masking.table([dialogue], FeatureStore(tmp_path)).rows) == {"u0"}


def test_wrong_names_and_options_are_refused_before_anything_is_computed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'textcnn'"):
        FeaturePipeline.build("text", "textcn")
    with pytest.raises(ConfigError, match=r"'min_cout'; did you mean 'min_count'"):
        FeaturePipeline.build("text", "textcnn", {"min_cout": 2})
    with pytest.raises(ConfigError, match="textcnn: dropout 2"):
        FeaturePipeline.build("text", "textcnn", {"dropout": 2.0})
    with pytest.raises(ConfigError, match="token ids"):
        FeaturePipeline.build("text", "textcnn", transforms=("l2",))
    with pytest.raises(ConfigError, match="did you mean 'impute'"):
        FeaturePipeline.build("text", "letters", transforms=("imput",))
    with pytest.raises(FeatureError, match="fit the pipeline"):
        FeaturePipeline.build("text", "letters").table([talk()])
    with pytest.raises(FeatureError, match="nothing to encode in any of the 2 training utterances"):
        FeaturePipeline.build("text", "letters").fit([talk([None, None])])


def test_a_saved_model_never_imports_code_unless_trusted(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_code.py").write_text("def encode(texts):\n    return [[len(t)] for t in texts]\n")
    monkeypatch.chdir(tmp_path)
    pipeline = FeaturePipeline.build("text", "own_code:encode").fit([talk()])
    with pytest.raises(ConfigError, match=r"a file may not run code; add --trust_code .in Python: trust_code=True"):
        through_disk(pipeline)
    assert same(through_disk(pipeline, trust_code=True).table([talk()]), pipeline.table([talk()]))


def test_another_encoder_than_in_training_is_refused_and_edited_code_is_logged(caplog) -> None:
    pipeline = FeaturePipeline.build("text", "letters").fit([talk()])
    described, arrays = pipeline.state()
    with pytest.raises(FeatureError, match="version was '0' and is '1'"):
        FeaturePipeline.from_state({**described, "fingerprint": {**described["fingerprint"], "version": "0"}}, arrays)
    with caplog.at_level(logging.WARNING):
        FeaturePipeline.from_state({**described, "fingerprint": {**described["fingerprint"], "code": "edited"}}, arrays)
    assert "code was 'edited'" in caplog.text
    with pytest.raises(CheckpointError, match="has no 'words'"):
        FeaturePipeline.from_state({key: value for key, value in described.items() if key != "words"}, arrays)


def test_a_pipeline_that_reads_later_turns_is_not_causal() -> None:
    assert FeaturePipeline.build("text", "letters", transforms=("standardise",)).is_causal
    assert not FeaturePipeline.build("text", "letters", transforms=("speaker-zscore",)).is_causal
    assert FeaturePipeline.build("text", "textcnn").is_causal
    assert not FeaturePipeline.build("audio", "precomputed", {"path": "rows.csv"}).is_causal, "docs/data.md"
