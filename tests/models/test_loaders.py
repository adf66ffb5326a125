"""The loaders of published weights."""

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.models import MODELS, find_model
from dialogue_ser.models.loaders import LOADERS, loader_of


def test_every_loader_belongs_to_a_system_of_its_name() -> None:
    assert set(LOADERS) <= set(MODELS)
    assert all(callable(loader_of(name)) for name in LOADERS)


@pytest.mark.parametrize("name", ["bigru", "no-such-system"])
def test_a_system_without_published_weights_says_so(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"model {name}: no published weights are known for it; choose one of .*bc-lstm"
    ):
        loader_of(name)


def test_a_system_loads_its_weights_by_its_class() -> None:
    with pytest.raises(ConfigError, match="model utterance: no published weights are known"):
        find_model("utterance").load_published({"w": torch.ones(1)}, {})
