"""The fusion of E2 equals plain loops over the turns."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.fusion.late_fusion import LateFusion
from dialogue_ser.tasks.regression import Regression

SIZES = {"text": 4, "audio": 3, "visual": 2}
N_CLASSES = 5


def system(*modalities: str, **options) -> LateFusion:
    torch.manual_seed(0)
    inputs = {name: InputSpec(kind="vector", dim=SIZES[name]) for name in modalities}
    built = build_model("late-fusion", options, inputs, N_CLASSES).double().eval()
    assert isinstance(built, LateFusion)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter)
    return built


def batch(*modalities: str) -> DialogueBatch:
    torch.manual_seed(1)
    is_real = torch.tensor([[True, True, True], [True, False, False]])
    return DialogueBatch(
        features={name: torch.randn(2, 3, SIZES[name], dtype=torch.float64) for name in modalities},
        is_present={name: is_real.clone() for name in modalities},
        speaker=torch.tensor([[0, 1, 0], [0, -1, -1]]),
        n_turns=torch.tensor([3, 1]),
        label=torch.zeros(2, 3, dtype=torch.int64),
        is_real_turn=is_real,
        utterance_ids=(("a", "b", "c"), ("d",)),
    )


def by_hand(model: LateFusion, vectors: dict[str, Tensor]) -> Tensor:
    """Log-probabilities of one turn from the vectors of the modalities it has."""
    weight = model.state_dict()
    scores = [0.0] * N_CLASSES
    for name, x in vectors.items():
        logits = [
            float(sum(weight[f"heads.{name}.weight"][c, d] * x[d] for d in range(len(x)))) for c in range(N_CLASSES)
        ]
        logits = [logit + float(weight[f"heads.{name}.bias"][c]) for c, logit in enumerate(logits)]
        powers = [2.718281828459045**logit for logit in logits]
        p = [power / sum(powers) for power in powers]
        for c in range(N_CLASSES):
            scores[c] += sum(float(weight[f"weighings.{name}.weight"][c, k]) * p[k] for k in range(N_CLASSES))
            scores[c] += float(weight[f"weighings.{name}.bias"][c])
    return torch.log_softmax(torch.tensor(scores, dtype=torch.float64), dim=0)


@pytest.mark.parametrize("modalities", [("text",), ("audio", "text"), ("text", "audio", "visual")])
def test_it_is_the_documents_sum_of_weighed_probabilities(modalities):
    model, turns = system(*modalities), batch(*modalities)
    found = model(turns).scores_BTS.log_softmax(-1)
    for b, t in turns.is_real_turn.nonzero().tolist():
        expected = by_hand(model, {name: values[b, t] for name, values in turns.features.items()})
        torch.testing.assert_close(found[b, t], expected, rtol=0, atol=1e-10)


def test_an_absent_modality_adds_nothing_not_even_its_bias():
    model, turns = system("text", "audio"), batch("text", "audio")
    turns.is_present["audio"][0, 1] = False
    found = model(turns).scores_BTS.log_softmax(-1)
    torch.testing.assert_close(found[0, 1], by_hand(model, {"text": turns.features["text"][0, 1]}), rtol=0, atol=1e-10)
    both = {name: values[0, 0] for name, values in turns.features.items()}
    torch.testing.assert_close(found[0, 0], by_hand(model, both), rtol=0, atol=1e-10)
    assert not torch.allclose(by_hand(model, both), by_hand(model, {"text": both["text"]}))  # control


def test_a_turn_without_any_modality_gets_equal_probabilities():
    model, turns = system("text", "audio"), batch("text", "audio")
    nowhere = {name: present & False for name, present in turns.is_present.items()}
    found = model(replace(turns, is_present=nowhere)).scores_BTS.softmax(-1)
    torch.testing.assert_close(found, torch.full_like(found, 1 / N_CLASSES))


def test_before_training_the_sum_follows_each_modality():
    """The weighings start as C times the identity: a class that is likely for a branch is likely for the sum."""
    torch.manual_seed(0)
    model = build_model("late-fusion", {}, {"text": InputSpec(kind="vector", dim=4)}, N_CLASSES).double().eval()
    turns = batch("text")
    p_BTC = torch.softmax(model.heads["text"](turns.features["text"]), dim=-1)
    expected = torch.log_softmax(N_CLASSES * p_BTC, dim=-1)[turns.is_real_turn]
    torch.testing.assert_close(
        model(turns).scores_BTS.log_softmax(-1)[turns.is_real_turn], expected, rtol=0, atol=1e-12
    )


def test_values_have_no_softmax_and_start_as_the_mean_of_the_modalities():
    task = Regression(("valence", "arousal"))
    inputs = {name: InputSpec(kind="vector", dim=SIZES[name]) for name in ("text", "audio")}
    torch.manual_seed(0)
    model, turns = build_model("late-fusion", {}, inputs, 2, task).double().eval(), batch("text", "audio")
    turns.is_present["audio"][0, 1] = False
    own = {name: model.heads[name](turns.features[name]) for name in inputs}
    found = model(turns).scores_BTS
    torch.testing.assert_close(found[0, 0], (own["text"] + own["audio"])[0, 0] / 2, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[0, 1], own["text"][0, 1] / 2, rtol=0, atol=1e-12)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weighed = [model.weighings[name](model.heads[name](turns.features[name][0, 2])) for name in inputs]
    torch.testing.assert_close(model(turns).scores_BTS[0, 2], sum(weighed), rtol=0, atol=1e-12)


def test_a_projection_comes_before_the_class_layer():
    model = system("text", "audio", projection={"text": 7})
    assert model.heads["text"].in_features == 7
    assert model.heads["audio"].in_features == 3


def test_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"dropout: found 1\.0"):
        system("text", dropout=1.0)
