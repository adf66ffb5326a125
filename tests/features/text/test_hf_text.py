import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.text.hf_text import HfText

TEXTS = ["oh my god !", "no", "yes", "i am fine really really fine", "unknownword ?", ""]


def by_hand(folder: Path, text: str) -> torch.Tensor:
    """All hidden states [layer, token, feature] of one text, straight from transformers."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], output_hidden_states=True
        )
    return torch.stack([state[0] for state in output.hidden_states])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda h: h[-1].mean(0)),
        ({"pooling": "cls"}, lambda h: h[-1, 0]),
        ({"pooling": "max", "layers": [1]}, lambda h: h[1].amax(0)),
        ({"pooling": "mean+max"}, lambda h: torch.cat([h[-1].mean(0), h[-1].amax(0)])),
        ({"layers": [-1, -2]}, lambda h: h[-2:].mean(0).mean(0)),
        ({"layers": [0, 3], "layer_merge": "concat"}, lambda h: torch.cat([h[0].mean(0), h[3].mean(0)])),
        ({"pooling": "none"}, lambda h: h[-1]),
    ],
)
def test_pooling_equals_transformers_run_by_hand(tiny_text_model, dialogue, options, expected) -> None:
    talk = dialogue(TEXTS)
    rows = HfText(model=str(tiny_text_model), **options).encode([talk])
    assert set(rows) == {turn.id for turn in talk}
    for turn in talk:
        np.testing.assert_allclose(rows[turn.id], expected(by_hand(tiny_text_model, turn.text)).numpy(), atol=2e-6)


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_other_texts_of_the_batch_never_change_a_vector(tiny_text_model, dialogue, pooling) -> None:
    encoder = HfText(model=str(tiny_text_model), pooling=pooling)
    together = encoder.encode([dialogue(TEXTS * 3)])
    for i, text in enumerate(TEXTS):
        alone = encoder.encode([dialogue([text], name="x")])["x_utt0"]
        np.testing.assert_allclose(together[f"train/dia0_utt{i}"], alone, atol=1e-6)


def test_long_texts_are_cut_and_turns_without_text_are_absent(tiny_text_model, dialogue) -> None:
    encoder = HfText(model=str(tiny_text_model), pooling="none", max_length=5)
    rows = encoder.encode([dialogue(["no " * 50, None])])
    assert {key: row.shape for key, row in rows.items()} == {"train/dia0_utt0": (5, 8)}


def test_special_tokens_can_be_left_out_of_the_mean(tiny_text_model, dialogue) -> None:
    """With them out, a text's mean is that of its word tokens; a text without any keeps its special tokens."""
    talk = dialogue(TEXTS)
    frames = HfText(model=str(tiny_text_model), pooling="none").encode([talk])
    means = HfText(model=str(tiny_text_model), pool_special_tokens=False).encode([talk])
    assert means.keys() == frames.keys()
    for key, frame in frames.items():
        words = frame[1:-1] if len(frame) > 2 else frame
        np.testing.assert_allclose(means[key], words.mean(0), atol=1e-5)


def test_curly_quotes_can_be_normalised(tiny_text_model, dialogue) -> None:
    plain, curly = dialogue(["i'm fine - no..."], name="a"), dialogue(["i\u2019m fine \u2013 no\u2026"], name="b")
    raw = HfText(model=str(tiny_text_model), pooling="none").encode([plain, curly])
    assert raw["a_utt0"].shape != raw["b_utt0"].shape
    rows = HfText(model=str(tiny_text_model), normalise_quotes=True).encode([plain, curly])
    np.testing.assert_array_equal(rows["a_utt0"], rows["b_utt0"])


def test_fingerprint_changes_with_weights_and_options_but_not_with_the_folder(tiny_text_model, tmp_path) -> None:
    first = HfText(model=str(tiny_text_model)).fingerprint()
    copy = tmp_path / "copy"
    shutil.copytree(tiny_text_model, copy)
    assert HfText(model=str(copy)).fingerprint() == first
    assert HfText(model=str(copy), pooling="max").fingerprint() != first
    assert HfText(model=str(copy), layers=[-1, -2]).fingerprint() != first
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert HfText(model=str(copy)).fingerprint() != first
    json.dumps(first)


def test_errors_name_the_model_the_layer_and_the_choice(tiny_text_model, dialogue, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"pooling 'median'(.|\n)*layers \[\]"):
        HfText(model="x", pooling="median", layers=[])
    with pytest.raises(FeatureError, match=r"0 … 3, not \[9\]"):
        HfText(model=str(tiny_text_model), layers=[9]).encode([dialogue(["no"])])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeatureError, match=r"has no config\.json"):
        HfText(model=str(tmp_path / "empty")).fingerprint()
    for options in ({"max_length": 2}, {"max_length": 1}):
        with pytest.raises(ConfigError, match=r"no room for a text beside 2 special tokens; set it to at least 3"):
            HfText(model=str(tiny_text_model), **options).encode([dialogue(["no"])])
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used"):
        HfText(model=str(tiny_text_model), device="cuda:99").encode([dialogue(["no"])])
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(FeatureError, match="cannot load"):
        HfText(model=str(tmp_path / "empty")).encode([dialogue(["no"])])


def test_broken_and_hostile_folders_are_refused_and_nothing_is_executed(tiny_text_model, dialogue, tmp_path) -> None:
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    def refused(name: str, change: Callable[[Path], object]) -> None:
        folder = Path(shutil.copytree(tiny_text_model, tmp_path / name))
        change(folder)
        with pytest.raises(FeatureError, match="cannot load"):
            HfText(model=str(folder)).encode([dialogue(["no"])])

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({"weight": Payload()}, folder / "pytorch_model.bin")

    refused("pickle", pickled)
    refused("junk", lambda folder: (folder / "model.safetensors").write_bytes(b"junk"))
    refused("list", lambda folder: (folder / "config.json").write_text("[]"))
    assert not (tmp_path / "executed").exists()


CONTEXT = {"context_past": 2, "speakers": True}


def test_in_its_dialogue_a_turn_is_pooled_over_its_own_tokens(tiny_text_model, dialogue) -> None:
    from transformers import AutoModel

    talk = dialogue(["no !", "oh my", "yes"])
    rows = HfText(model=str(tiny_text_model), context_past=1).encode([talk])
    frames = HfText(model=str(tiny_text_model), context_past=1, pooling="none").encode([talk])
    tokens = torch.tensor([[2, 7, 14, 3, 4, 5, 3]])  # [CLS] no ! [SEP] oh my [SEP]
    model = AutoModel.from_pretrained(tiny_text_model).eval()
    with torch.no_grad():
        states = model(tokens).last_hidden_state[0, 4:6].numpy()
    np.testing.assert_allclose(frames["train/dia0_utt1"], states, atol=1e-6)
    np.testing.assert_allclose(rows["train/dia0_utt1"], states.mean(0), atol=1e-6)
    alone = HfText(model=str(tiny_text_model)).encode([talk])
    assert not np.allclose(alone["train/dia0_utt1"], rows["train/dia0_utt1"], atol=1e-3)


@pytest.mark.parametrize("later", [["no"], ["oh my god !", "no no no"], []])
def test_a_change_after_a_turn_changes_nothing_up_to_it_unless_the_future_is_read(
    tiny_text_model, dialogue, later
) -> None:
    start = ["oh no", "i am fine", "yes"]
    for options, is_causal in ((CONTEXT, True), ({**CONTEXT, "context_future": 1}, False)):
        # one text a forward pass: in a larger product the same row may be rounded differently
        encoder = HfText(model=str(tiny_text_model), batch_size=1, **options)
        plain, changed = (encoder.encode([dialogue([*start, *rest])]) for rest in (["really ?"], later))
        same = all(np.array_equal(plain[f"train/dia0_utt{i}"], changed[f"train/dia0_utt{i}"]) for i in range(3))
        assert same == is_causal


def test_the_window_is_in_the_fingerprint_and_in_what_the_store_keys_by(tiny_text_model) -> None:
    alone = HfText(model=str(tiny_text_model))
    assert "context" not in alone.fingerprint()  # features stored by earlier versions stay good
    assert (alone.traits.context, alone.traits.reads) == ((0, 0), ("text",))
    encoder = HfText(model=str(tiny_text_model), context_past=3, context_future=1, speakers=True)
    assert encoder.fingerprint()["context"] == {"past": 3, "future": 1, "speakers": True, "causal": False}
    assert (encoder.traits.context, encoder.traits.reads) == ((3, 1), ("text", "speaker"))


def test_a_text_that_is_longer_than_the_models_positions_is_one_clear_line(tiny_text_model, dialogue, tmp_path) -> None:
    folder = shutil.copytree(tiny_text_model, tmp_path / "no-limit")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("model_max_length", None)  # such tokenizers do not know how much their model reads
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    limit = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    talk = dialogue(["hello", "hello " * 2 * limit])
    with pytest.raises(FeatureError, match=f"positions for {limit} only; set the option max_length to at most {limit}"):
        HfText(model=str(folder), max_length=100_000).encode([talk])
    assert len(HfText(model=str(folder), max_length=limit).encode([talk])) == 2
