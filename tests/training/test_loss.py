import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.models.api import Output
from dialogue_ser.training.config import LossConfig
from dialogue_ser.training.loss import DialogueLoss, class_weights

LABELS = LabelSet("emotion", ("calm", "glad", "cross", "never"))
TRAIN = [
    Dialogue(f"d{i}", tuple(Utterance(id=f"d{i}_{t}", speaker="Ann", label=label) for t, label in enumerate(labels)))
    for i, labels in enumerate([["calm"] * 6, ["glad", "glad", None], ["cross"]])
]


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_class_weights_are_inverse_frequencies_with_mean_one_over_train_turns(power):
    config = LossConfig(class_weights="inverse-frequency", class_weight_power=power)
    weight_C = class_weights(TRAIN, LABELS, config)
    count_C = torch.tensor([6.0, 2.0, 1.0, 0.0], dtype=torch.float64)
    assert float((weight_C * count_C).sum() / 9) == pytest.approx(1.0)
    assert float(weight_C[2] / weight_C[0]) == pytest.approx(6.0**power)
    assert float(weight_C[3]) == float(weight_C[2])  # a class train never has counts as if it had it once


def test_no_weights_unless_asked():
    assert class_weights(TRAIN, LABELS, LossConfig()) is None


BATCH = DialogueBatch(
    features={},
    is_present={},
    speaker=torch.tensor([[0, 1]]),
    n_turns=torch.tensor([2]),
    label=torch.tensor([[0, 1]]),
    is_real_turn=torch.ones(1, 2, dtype=torch.bool),
    utterance_ids=(("a", "b"),),
    label_distribution=torch.tensor([[[0.0, 1.0], [0.5, 0.5]]]),
)


def test_votes_are_targets_only_where_soft_labels_are_asked_for():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1), {})
    hard = DialogueLoss(LossConfig())(output, BATCH)
    soft = DialogueLoss(LossConfig(soft_labels=True))(output, BATCH)
    log_probs = output.log_probs_BTC[0]
    assert float(hard[0]) == pytest.approx(float(-log_probs[0, 0] - log_probs[1, 1]))
    assert float(soft[0]) == pytest.approx(float(-log_probs[0, 1] - log_probs[1].mean()))


def test_the_kind_of_the_loss_is_as_configured():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1), {})
    nll, binary = (DialogueLoss(LossConfig(kind=kind))(output, BATCH) for kind in ("nll", "binary"))
    # of two classes the one is what the other is not: both terms are the same, and so is their mean
    torch.testing.assert_close(binary, nll)
    three = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]]]), dim=-1), {})
    expected = torch.nn.functional.binary_cross_entropy(three.log_probs_BTC[0].exp(), torch.eye(3)[:2])
    numerator, denominator = DialogueLoss(LossConfig(kind="binary"))(three, BATCH)
    assert float(numerator / denominator) == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ConfigError, match=r"focal_gamma: found 2\.0 beside kind binary"):
        LossConfig(kind="binary", focal_gamma=2.0)


def test_half_precision_outputs_are_judged_in_float32():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1).bfloat16(), {})
    numerator, _ = DialogueLoss(LossConfig())(output, BATCH)
    assert numerator.dtype == torch.float32


@pytest.mark.parametrize(
    "settings", [{}, {"soft_labels": True, "focal_gamma": 2.0, "label_smoothing": 0.1}, {"kind": "binary"}]
)
def test_which_turns_count_is_not_asked_of_the_device(settings):
    # Tensors on meta have shapes but no values: whatever the host wanted to know of them would be an error.
    loss = DialogueLoss(LossConfig(**settings), torch.ones(2, dtype=torch.float64, device="meta"))
    output = Output(torch.zeros(1, 2, 2, device="meta", requires_grad=True), {})
    numerator, denominator = loss(output, BATCH.to("meta"))
    numerator.backward()
    assert {numerator.device.type, denominator.device.type} == {"meta"}
    assert output.log_probs_BTC.grad.shape == (1, 2, 2)
