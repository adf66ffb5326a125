"""A few dialogues of the bundled sample corpus, with their sound, for tests of training on audio."""

from dataclasses import replace

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.run_config import RunConfig

SIZES = {"train": 6, "dev": 2, "test": 2}


def read_spoken(path: str | None = None, labels: str = "emotion") -> Corpus:
    """Return the first dialogues of every split."""
    corpus = read_corpus("sample", path, labels)
    return replace(corpus, splits={split: corpus.splits[split][:size] for split, size in SIZES.items()})


def spoken_config(features: dict[str, object], epochs: int = 8) -> RunConfig:
    return config_from_dict(
        {
            "name": "spoken",
            "data": {"reader": "spoken:read_spoken"},
            "features": features,
            "model": {"name": "bigru", "options": {"hidden_dim": 12, "dropout": 0.0}},
            "optimizer": {"learning_rate": 0.02},
            "training": {"epochs": epochs, "batch_size": 4, "device": "cpu"},
            "save_attention": False,
        }
    )
