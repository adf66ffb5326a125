from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from dialogue_ser.errors import FeatureError
from dialogue_ser.training.config.run_config import (
    FeatureConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.dry_run.cost import Cost, cost_of
from dialogue_ser.training.dry_run.smoke import smoke_config


def config_of(encoder: str, **options) -> RunConfig:
    return RunConfig(
        features={"text": FeatureConfig(encoder=encoder, options=options)},
        model=ModelConfig(name="utterance"),
        training=TrainingConfig(batch_size=3),
    )


def cost(config: RunConfig, tmp_path) -> Cost:
    return cost_of(config, load_data(smoke_config(config, "dialogues", tmp_path)))


def test_a_linear_layer_costs_its_weights(tmp_path):
    """Vectors of 768 dimensions, 7 classes, counted by hand."""
    found = cost(config_of("hf-text", model="bert-base-uncased"), tmp_path)
    assert found.n_parameters == 768 * 7 + 7
    assert found.multiply_adds == 768 * 7 * found.batch[0] * longest(tmp_path) / found.batch[1]
    assert found.batch[0] == 3


def longest(tmp_path) -> int:
    data = load_data(smoke_config(config_of("hf-text", model="bert-base-uncased"), "dialogues", tmp_path))
    return max(len(dialogue) for dialogue in data.train[:3])


def test_a_network_of_the_hub_counts_at_its_own_size_and_the_hub_is_not_asked(tmp_path, monkeypatch):
    """bert-base-cased without its pooler and its head: 107.7 million weights, as its model card's files have."""

    load = AutoConfig.from_pretrained

    def ask(place, **options):
        assert Path(place).is_dir(), "a hub that is not reachable is tried for half a minute"
        return load(place, **options)

    monkeypatch.setattr(AutoConfig, "from_pretrained", ask)
    found = cost(config_of("transformer", model="bert-base-cased"), tmp_path)
    embeddings = (28996 + 512 + 2) * 768 + 2 * 768
    layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    assert found.n_parameters == embeddings + 12 * layer + 768 * 7 + 7
    assert found.multiply_adds > 12 * (4 * 768 * 768 + 2 * 768 * 3072)


def test_memory_counts_weights_gradients_and_the_optimizers_states(tmp_path):
    adam = config_of("hf-text", model="bert-base-uncased")
    sgd = replace(adam, optimizer=OptimizerConfig(name="sgd"))
    both = [cost(config, tmp_path) for config in (adam, sgd)]
    assert both[0].training_bytes - both[1].training_bytes == 2 * 4 * both[0].n_parameters


def test_the_cost_draws_no_random_numbers(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    data = load_data(smoke_config(config_of("textcnn"), "dialogues", tmp_path))
    torch.set_rng_state(before)
    cost_of(config_of("textcnn"), data)
    assert torch.equal(torch.get_rng_state(), before)


def test_as_text_it_is_one_line():
    text = str(Cost(n_parameters=1_500_000, multiply_adds=2e6, training_bytes=2**21, batch=(4, 31)))
    assert text.startswith("1.50 M parameters, 2.0 M multiply-adds an utterance, 2 MiB to train")


def test_an_unknown_network_is_named(tmp_path):
    features = {"text": FeatureConfig(encoder="hf-text", options={"model": "nobody/knows-it"})}
    with pytest.raises(FeatureError, match="nobody/knows-it"):
        cost(RunConfig(features=features, model=ModelConfig(name="utterance")), tmp_path)
