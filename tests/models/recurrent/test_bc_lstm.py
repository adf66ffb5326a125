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
    assert shapes["level.lstm.weight_ih_l0"] == (400, 600)
    assert shapes["level.lstm.weight_ih_l1_reverse"] == (400, 200)
    assert (shapes["level.head.0.weight"], shapes["level.head.3.weight"]) == ((100, 200), (7, 100))
    assert not [name for name in shapes if name.startswith("level.attention")]


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


HIERARCHICAL = {"fusion": "hierarchical", "context_dim": 3, "hidden_dim": 4}


def test_the_hierarchical_form_has_a_level_for_each_modality_and_one_above() -> None:
    inputs = {"text1": INPUTS["text"], "audio": INPUTS["audio"], "text2": INPUTS["text"]}
    system = build_model("bc-lstm", HIERARCHICAL, inputs, 3)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["branches.text.lstm.weight_ih_l0"] == (12, 12), "text1 and text2 are vectors of one modality"
    assert shapes["branches.audio.lstm.weight_ih_l0"] == (12, 4)
    assert shapes["level.lstm.weight_ih_l0"] == (12, 8)
    assert not [name for name in shapes if name.startswith("branches.text.head.3")]


def test_a_branch_gives_what_a_model_of_its_modality_alone_gives() -> None:
    torch.manual_seed(1)
    whole = build_model("bc-lstm", HIERARCHICAL | {"projection": {"text": 5}}, INPUTS, 3).eval()
    alone = build_model(
        "bc-lstm", HIERARCHICAL | {"fusion": "early", "projection": {"text": 5}}, {"text": INPUTS["text"]}, 3
    ).eval()
    whole.take_branch("text", alone.state_dict())
    batch = random_batch(INPUTS)
    with torch.no_grad():
        own = alone.level.hidden(alone.turns(batch), batch)
        first_level, _ = whole._first_level(whole.turns(batch), batch)
    assert torch.equal(first_level[..., :4], own)


@pytest.mark.parametrize(
    ("options", "modality"), [({"context_dim": 2}, "text"), ({"n_layers": 1}, "text"), ({}, "audio")], ids=str
)
def test_a_branch_of_another_shape_is_refused(options: dict[str, int], modality: str) -> None:
    whole = build_model("bc-lstm", HIERARCHICAL, INPUTS, 3)
    alone = build_model("bc-lstm", HIERARCHICAL | {"fusion": "early"} | options, {"text": INPUTS["text"]}, 3)
    with pytest.raises(RuntimeError, match=r"missing|mismatch"):
        whole.take_branch(modality, alone.state_dict())


def test_every_modality_can_have_a_classifier_of_its_own_while_training() -> None:
    system = build_model("bc-lstm", HIERARCHICAL | {"unimodal_weight": 0.5}, INPUTS, 3).train()
    batch = random_batch(INPUTS)
    output = system(batch)
    assert dict(system.auxiliary_weights) == {"text": 0.5, "audio": 0.5}
    terms = system.auxiliary_numerators(output, batch, lambda scores, given: (scores.sum(), scores.sum()))
    sum(terms.values()).backward()  # type: ignore[union-attr]
    for kind in ("text", "audio"):
        assert output.auxiliary[kind].shape == (3, 7, 3)
        assert system.get_parameter(f"branches.{kind}.head.3.weight").grad is not None
    assert system.eval()(batch).auxiliary == {}


@pytest.mark.parametrize("options", [{"unimodal_weight": -1.0, "fusion": "hierarchical"}, {"unimodal_weight": 1.0}])
def test_a_weight_without_classifiers_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"model bc-lstm: model\.options\.unimodal_weight: "):
        build_model("bc-lstm", options, INPUTS, 3)
