import json
import shutil
from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import AudioRef, Dialogue, LabelSet, Utterance
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError, FeatureError, MediaError
from dialogue_ser.features.audio.hf_audio import HfAudio
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.media.decode import decoder_versions

KINDS = (
    "wav2vec2-group",
    "wav2vec2-layer",
    "hubert-group",
    "hubert-layer",
    "hubert-batch",
    "wavlm-group",
    "wavlm-layer",
    "data2vec",
    "unispeech",
    "unispeech-sat",
    "conformer",
    "whisper",
)
LENGTHS = (400, 401, 5000, 16000, 16000, 12345, 24000)


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Dialogue:
    """Seven clips of noise of different lengths, two of them equally long."""
    folder = tmp_path_factory.mktemp("clips")
    turns = []
    for i, n_samples in enumerate(LENGTHS):
        samples = np.random.default_rng(i).normal(scale=0.1, size=n_samples)
        soundfile.write(folder / f"{i}.wav", samples, 16000, subtype="FLOAT")
        turns.append(Utterance(id=f"u{i}", speaker="Ann", audio=AudioRef(folder / f"{i}.wav")))
    return Dialogue("talk", tuple(turns))


def samples_of(turn: Utterance) -> np.ndarray:
    return soundfile.read(turn.audio.path, dtype="float32")[0]


def by_hand(folder, kind: str, samples: np.ndarray) -> torch.Tensor:
    """All hidden states [layer, frame, feature] of one unpadded clip, straight from transformers."""
    from transformers import AutoFeatureExtractor, AutoModel

    given = AutoFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=16000, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if kind == "whisper":
            hidden = model.get_encoder()(given["input_features"], output_hidden_states=True).hidden_states
            return torch.stack([state[0, : -(-len(samples) // 320)] for state in hidden])
        hidden = model(given["input_values"], output_hidden_states=True).hidden_states
    return torch.stack([state[0] for state in hidden])


@pytest.mark.parametrize("kind", KINDS)
def test_other_clips_of_the_batch_and_padding_never_change_an_utterance(speech_model, talk, kind):
    encoder = HfAudio(model=str(speech_model(kind)), pooling="none", layers="all", layer_merge="concat")
    together = encoder.encode([talk])
    assert list(together) == [turn.id for turn in talk]
    for turn in talk:
        alone = encoder.encode([Dialogue("alone", (turn,))])[turn.id]
        np.testing.assert_allclose(together[turn.id], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "hubert-batch", "data2vec", "conformer"])
def test_the_check_above_fails_where_such_a_model_is_padded(speech_model, talk, kind):
    encoder = HfAudio(model=str(speech_model(kind)), pooling="none")
    right = encoder.encode([talk])
    encoder._network.needs_equal_lengths = False
    wrong = encoder.encode([talk])
    assert max(np.abs(right[key] - wrong[key]).max() for key in right) > 0.1


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wav2vec2-layer", "hubert-layer", "wavlm-layer", "whisper"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda h: h[-1].mean(0)),
        ({"layers": [2]}, lambda h: h[2].mean(0)),
        ({"layers": [0], "pooling": "none"}, lambda h: h[0]),
        ({"layers": [1, 3]}, lambda h: (h[1].mean(0) + h[3].mean(0)) / 2),
        ({"layers": [-1, 1], "layer_merge": "concat"}, lambda h: torch.cat([h[3].mean(0), h[1].mean(0)])),
        ({"layers": "all"}, lambda h: h.mean(0).mean(0)),
        ({"layers": "all", "layer_merge": "concat"}, lambda h: h.mean(1).flatten()),
        ({"layers": [1], "pooling": "mean+std"}, lambda h: torch.cat([h[1].mean(0), h[1].std(0, correction=0)])),
        (
            {"layers": [1, 2], "layer_merge": "concat", "pooling": "mean+std"},
            lambda h: torch.cat([f(0) for k in (1, 2) for f in (h[k].mean, partial(h[k].std, correction=0))]),
        ),
    ],
)
def test_layers_and_pooling_equal_transformers_run_by_hand(speech_model, talk, kind, options, expected):
    folder = speech_model(kind)
    clip = Dialogue("one", (talk.utterances[5],))  # 12345 samples: less than a window of the tiny Whisper
    row = HfAudio(model=str(folder), **options).encode([clip])["u5"]
    states = by_hand(folder, kind, samples_of(talk.utterances[5]))
    np.testing.assert_allclose(row, expected(states).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm-layer"])
def test_frames_are_one_for_400_samples_and_one_for_every_320_more(speech_model, talk, kind):
    rows = HfAudio(model=str(speech_model(kind)), pooling="none").encode([talk])
    assert [len(row) for row in rows.values()] == [(n - 400) // 320 + 1 for n in LENGTHS]


def test_long_clips_are_cut_into_pieces_and_pooled_over_all_frames(speech_model, tmp_path):
    samples = np.random.default_rng(5).normal(scale=0.1, size=50_000)
    soundfile.write(tmp_path / "long.wav", samples, 16000, subtype="FLOAT")
    long = Dialogue("long", (Utterance(id="u", speaker="Ann", audio=AudioRef(tmp_path / "long.wav")),))
    for kind, n_frames in (("wav2vec2-group", 156), ("wav2vec2-layer", 156), ("whisper", 157)):
        folder = str(speech_model(kind))
        frames = HfAudio(model=folder, pooling="none", chunk_seconds=1).encode([long])["u"]
        assert frames.shape == (n_frames, 16)
        mean = HfAudio(model=folder, chunk_seconds=1).encode([long])["u"]
        np.testing.assert_allclose(mean, frames.mean(0), atol=1e-6)
    cut = HfAudio(model=folder, pooling="none", max_seconds=0.5).encode([long])["u"]
    assert len(cut) == 25


def test_other_rates_are_resampled_to_the_models(speech_model, spoken):
    low, high = spoken([1.0], rate=16000, name="a"), spoken([1.0], rate=44100, name="b")
    rows = HfAudio(model=str(speech_model("wav2vec2-layer")), pooling="none").encode([low, high])
    assert rows["a_utt0"].shape == rows["b_utt0"].shape == (49, 16)
    middle = slice(5, 44)  # the resampler's ends differ
    np.testing.assert_allclose(rows["a_utt0"][middle], rows["b_utt0"][middle], atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_and_the_shortest_clip_are_finite(speech_model, spoken, kind):
    silence = spoken([0.025, 0.5], volume=0.0)
    rows = HfAudio(model=str(speech_model(kind)), pooling="mean+std").encode([silence])
    assert len(rows) == 2
    assert all(np.isfinite(row).all() for row in rows.values())


def test_clips_too_short_or_missing_are_named_together_or_masked(speech_model, spoken):
    talk = spoken([0.5, 0.02, 0.5])
    talk.utterances[2].audio.path.unlink()
    folder = str(speech_model("hubert-group"))
    least = r"row 3 \(train/dia0_utt1\): audio of 0\.0200 s .* needs at least 0\.0250 s \(400 samples\)"
    with pytest.raises(MediaError, match=least + r"(.|\n)*row 4(.|\n)*on_bad mask") as caught:
        HfAudio(model=folder).encode([talk])
    assert list(caught.value.rows) == ["train/dia0_utt0"], "what could be encoded is not lost"
    encoder = HfAudio(model=folder, on_bad="mask")
    assert list(encoder.encode([talk])) == ["train/dia0_utt0"]


def test_turns_without_audio_are_absent_and_nothing_is_loaded_for_none(dialogue):
    assert HfAudio(model="/nowhere").encode([dialogue(["only text"])]) == {}


def test_progress_counts_every_clip(speech_model, talk):
    encoder = HfAudio(model=str(speech_model("whisper")), batch_size=1)
    seen = []
    encoder.on_progress = seen.append
    encoder.encode([talk, Dialogue("again", (talk.utterances[0], talk.utterances[2]))])
    assert sum(seen) == len(talk) + 2


def test_the_store_keeps_frames_under_the_fingerprint(speech_model, talk, tmp_path):
    store = FeatureStore(tmp_path / "store")
    options = {"model": str(speech_model("hubert-layer")), "pooling": "none", "layers": [2]}
    first = store.table(build_encoder("hf-audio", "audio", options), [talk])
    copy = shutil.copytree(speech_model("hubert-layer"), tmp_path / "copy")
    encoder = build_encoder("hf-audio", "audio", {**options, "model": str(copy)})
    encoder.inner.encode = None  # must not be needed
    again = store.table(encoder, [talk])
    assert all(np.array_equal(first[key], again[key]) for key in first)


def test_fingerprint_holds_everything_that_decides_the_output(speech_model):
    folder = str(speech_model("wav2vec2-group"))
    first = HfAudio(model=folder).fingerprint()
    json.dumps(first)
    assert first["versions"].items() >= decoder_versions().items()
    assert HfAudio(model=folder, device="cpu", batch_size=3).fingerprint() == first
    for options in (
        {"layers": [1]},
        {"layers": "all"},
        {"layer_merge": "concat"},
        {"pooling": "mean+std"},
        {"chunk_seconds": 5},
        {"max_seconds": 9.0},
        {"dtype": "bfloat16"},
    ):
        assert HfAudio(model=folder, **options).fingerprint() != first
    assert HfAudio(model=str(speech_model("wav2vec2-layer"))).fingerprint() != first


def test_errors_name_the_option_the_layer_and_the_choice(speech_model, talk, monkeypatch):
    with pytest.raises(ConfigError, match=r"pooling 'max' is none of(.|\n)*layers 'last'(.|\n)*batch_size 0"):
        HfAudio(model="x", pooling="max", layers="last", batch_size=0)
    for option in ("chunk_seconds", "max_seconds"):
        for value in (0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ConfigError, match=f"{option} {value}"):
                HfAudio(model="x", **{option: value})
    for layers in ([4], [-5]):
        with pytest.raises(FeatureError, match=rf"has hidden states 0 … 3, not \[{layers[0]}\]; choose"):
            HfAudio(model=str(speech_model("whisper")), layers=layers).encode([talk])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="dtype float16 is for a GPU; on cpu use float32"):
        HfAudio(model=str(speech_model("whisper")), dtype="float16").encode([talk])
    with pytest.raises(ConfigError, match="hf-audio: device 'cuda:99' cannot be used"):
        HfAudio(model=str(speech_model("whisper")), device="cuda:99").encode([talk])


def test_a_text_model_and_a_missing_folder_have_different_errors(tiny_text_model, talk, tmp_path):
    with pytest.raises(FeatureError, match="type 'bert'"):
        HfAudio(model=str(tiny_text_model)).encode([talk])
    with pytest.raises(FeatureError, match="no folder"):
        HfAudio(model=str(tmp_path / "absent")).encode([talk])


def test_all_layers_reach_a_learned_weighting_as_vectors_or_as_frames(speech_model, talk):
    outputs = []
    for pooling, kind in (("mean", "vector"), ("none", "frames")):
        frames_options = {
            "model": str(speech_model("wavlm-layer")),
            "layers": "all",
            "layer_merge": "concat",
            "pooling": pooling,
        }
        options = {"frames": "hf-audio", "frames_options": frames_options, "n_layers": 4}
        pipeline = FeaturePipeline.build("audio", "layer-mix", options).fit([talk])
        assert (pipeline.spec.kind, pipeline.spec.dim, pipeline.spec.encoder) == (kind, 64, "layer-mix")
        table = pipeline.table([talk])
        batch = collate([talk], {"audio": table}, LabelSet("emotion", ("calm", "anger")))
        turns = TurnEncoder({"audio": table.spec})
        turns.encoders["audio"].scores_K.data = torch.tensor([0.0, 1.0, -1.0, 2.0])
        outputs.append(turns(batch))
    assert outputs[0].shape == (1, len(talk), 16)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)
