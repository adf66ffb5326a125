import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "oh", "my", "god", "no", "yes", "i", "am", "fine", "really", "?", "!")


@pytest.fixture(scope="session")
def tiny_text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 3 layers and 8 dimensions with random weights, saved as a plain transformers folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speech_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny speech network by its kind in speech_models.py; each is made once."""
    # --import-mode=importlib puts no test folder on sys.path, so the maker is loaded by its path.
    spec = importlib.util.spec_from_file_location("speech_models", Path(__file__).with_name("speech_models.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cache(lambda kind: module.save_tiny(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture
def dialogue() -> Callable[..., Dialogue]:
    """Builds a dialogue from texts; speakers alternate unless given."""

    def build(texts: Sequence[str | None], name: str = "train/dia0", speakers: Sequence[str] = ()) -> Dialogue:
        who = speakers or ["Ross", "Joey"] * len(texts)
        turns = (Utterance(id=f"{name}_utt{i}", speaker=who[i], text=text) for i, text in enumerate(texts))
        return Dialogue(name, tuple(turns))

    return build


@pytest.fixture
def spoken(tmp_path: Path) -> Callable[..., Dialogue]:
    """Builds a dialogue whose turns are tones of given lengths (seconds); 0 volume is silence."""
    import numpy as np
    import soundfile

    from dialogue_ser.corpus.schema import AudioRef

    def build(seconds: Sequence[float], volume: float = 0.3, rate: int = 16000, name: str = "train/dia0") -> Dialogue:
        turns = []
        for i, length in enumerate(seconds):
            t = np.arange(int(length * rate)) / rate
            samples = volume * np.sin(2 * np.pi * (150 + 40 * i) * t) * (1 + 0.3 * np.sin(2 * np.pi * 3 * t)) / 1.3
            path = tmp_path / f"{name.replace('/', '_')}_{rate}_{volume}_{i}.wav"
            soundfile.write(path, samples.astype(np.float32), rate)
            turns.append(
                Utterance(id=f"{name}_utt{i}", speaker="Ross", audio=AudioRef(path), origin=f"list.csv row {i + 2}")
            )
        return Dialogue(name, tuple(turns))

    return build
