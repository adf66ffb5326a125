import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.fusion.utterance import UtteranceSystem


def test_its_weights_are_one_linear_layer_over_the_fused_vector():
    inputs = {"text": InputSpec(kind="vector", dim=4), "audio": InputSpec(kind="vector", dim=3)}
    torch.manual_seed(0)
    system = build_model("utterance", {}, inputs, 5)
    assert isinstance(system, UtteranceSystem)
    assert {name: tuple(value.shape) for name, value in system.state_dict().items()} == {
        "head.weight": (5, 7),
        "head.bias": (5,),
    }


def test_a_projection_comes_before_the_fusion():
    system = build_model("utterance", {"projection": {"text": 2}}, {"text": InputSpec(kind="vector", dim=4)}, 5)
    assert system.head.weight.shape == (5, 2)


def test_hidden_layers_come_between_the_fused_vector_and_the_classes():
    torch.manual_seed(0)
    system = build_model("utterance", {"hidden_dims": [6, 2]}, {"text": InputSpec(kind="vector", dim=4)}, 5).double()
    x = torch.randn(4, dtype=torch.float64)
    (first, _, _), (second, _, _) = system.hidden
    h = torch.relu(second.weight @ torch.relu(first.weight @ x + first.bias) + second.bias)
    expected = torch.log_softmax(system.head.weight @ h + system.head.bias, 0)
    one = torch.ones(1, 1, dtype=torch.bool)
    batch = DialogueBatch(
        features={"text": x[None, None]},
        is_present={"text": one},
        lengths={},
        speaker=torch.zeros(1, 1, dtype=torch.int64),
        n_turns=torch.tensor([1]),
        label=torch.tensor([[3]]),
        is_real_turn=one,
        utterance_ids=(("a",),),
    )
    torch.testing.assert_close(system.eval()(batch).scores_BTS[0, 0].log_softmax(-1), expected, rtol=0, atol=1e-12)
    assert [first.weight.shape, second.weight.shape, system.head.weight.shape] == [(6, 4), (2, 6), (5, 2)]


@pytest.mark.parametrize("sizes", [[0], [256, -1]])
def test_wrong_hidden_sizes_are_refused(sizes):
    with pytest.raises(
        ConfigError, match=r"model utterance: model\.options\.hidden_dims\[\d\]: found (0|-1), expected at least 1"
    ):
        build_model("utterance", {"hidden_dims": sizes}, {"text": InputSpec(kind="vector", dim=4)}, 5)


def test_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"dropout: found 1\.5"):
        build_model("utterance", {"dropout": 1.5}, {"text": InputSpec(kind="vector", dim=4)}, 5)


def test_it_is_the_fusion_of_the_alexnet_document():
    """E4: one linear layer over the concatenated features; audio alone, the third of three."""
    sizes = {"size": 63, "width": 0.02, "dropout": 0.0}
    audio = InputSpec(kind="frames", dim=36, encoder="alexnet", options=sizes)
    inputs = {"audio": audio, "text": InputSpec(kind="vector", dim=5)}
    torch.manual_seed(0)
    system = build_model("utterance", {"dropout": 0.0}, inputs, 10).double()
    alexnet = system.turns.encoders["audio"]
    frames, text = torch.randn(1, 1, 40, 36).double(), torch.randn(1, 1, 5).double()
    batch = DialogueBatch(
        features={"audio": frames, "text": text},
        is_present={name: torch.ones(1, 1, dtype=torch.bool) for name in inputs},
        lengths={"audio": torch.tensor([[40]])},
        speaker=torch.zeros(1, 1, dtype=torch.int64),
        n_turns=torch.tensor([1]),
        label=torch.tensor([[3]]),
        is_real_turn=torch.ones(1, 1, dtype=torch.bool),
        utterance_ids=(("a",),),
    )
    found = system(batch).scores_BTS[0, 0].log_softmax(-1)
    image = alexnet.resized(frames[0], torch.tensor([40]))
    pooled = torch.nn.functional.adaptive_avg_pool2d(alexnet.features(image), 6).flatten()
    first, second = alexnet.classifier[1], alexnet.classifier[4]
    features = torch.relu(second.weight @ torch.relu(first.weight @ pooled + first.bias) + second.bias)
    fused = system.head.weight @ torch.cat([features, text[0, 0]]) + system.head.bias
    torch.testing.assert_close(found, torch.log_softmax(fused, 0), rtol=0, atol=1e-10)
