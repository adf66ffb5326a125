import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.utterance import UtteranceSystem


def test_its_weights_are_one_linear_layer_over_the_fused_vector():
    inputs = {"text": InputSpec(kind="vector", dim=4), "audio": InputSpec(kind="vector", dim=3)}
    torch.manual_seed(0)
    system = build_model("utterance", {}, inputs, 5)
    assert isinstance(system, UtteranceSystem)
    assert {name: tuple(value.shape) for name, value in system.state_dict().items()} == {
        "head.weight": (5, 7),
        "head.bias": (5,),
    }


def test_a_projection_stands_before_the_fusion():
    system = build_model("utterance", {"projection": {"text": 2}}, {"text": InputSpec(kind="vector", dim=4)}, 5)
    assert system.head.weight.shape == (5, 2)


def test_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"dropout: found 1\.5"):
        build_model("utterance", {"dropout": 1.5}, {"text": InputSpec(kind="vector", dim=4)}, 5)
