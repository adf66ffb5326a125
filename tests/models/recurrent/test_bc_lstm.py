"""bc-LSTM: what its options build."""

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.recurrent.bc_lstm import BcLSTMConfig
from tests.support.batches import random_batch

INPUTS = {"text": InputSpec(kind="vector", dim=6), "audio": InputSpec(kind="vector", dim=4)}


def test_the_defaults_are_the_published_sizes_for_meld() -> None:
    system = build_model("bc-lstm", {}, {"text": InputSpec(kind="vector", dim=600)}, 7)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["lstm.weight_ih_l0"] == (400, 600)
    assert shapes["lstm.weight_ih_l1_reverse"] == (400, 200)
    assert (shapes["head.0.weight"], shapes["head.3.weight"]) == ((100, 200), (7, 100))
    assert not [name for name in shapes if name.startswith("attention")]


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="context_dim: found 0") as caught:
        BcLSTMConfig(context_dim=0, n_layers=0, dropout=1.0)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError, match=r"attention: found 'all', expected one of none, general2, general2-tanh"):
        build_model("bc-lstm", {"attention": "all"}, INPUTS, 3)


def test_attention_is_shown_on_request_only() -> None:
    batch = random_batch(INPUTS, n_turns=(3, 1, 5))
    with torch.no_grad():
        system = build_model("bc-lstm", {"attention": "general2"}, INPUTS, 3).eval()
        assert system(batch).attention == {}
        weights_BTT = system(batch, return_attention=True).attention["all"]
        assert weights_BTT.shape == (3, 5, 5)
        torch.testing.assert_close(weights_BTT.sum(-1), batch.is_real_turn.float())
        assert build_model("bc-lstm", {}, INPUTS, 3).eval()(batch, return_attention=True).attention == {}
